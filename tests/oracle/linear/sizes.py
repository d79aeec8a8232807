"""Sizes of orders."""

from __future__ import annotations

import math


def difference(held: float, target: float) -> float:
    """None where rounding alone tells the sizes apart."""
    return target - held if abs(target - held) > 1e-9 * abs(held) else 0.0


def between(few: tuple[float, float], all_: tuple[float, float], way: float) -> tuple[float, float]:
    return few[0] + way * (all_[0] - few[0]), few[1] + way * (all_[1] - few[1])


def closing(order: float, held: float) -> float:
    """What an order takes off what is held."""
    return -min(max(-order, 0.0), held) if held > 0 else min(max(order, 0.0), -held)


def whole_lots(order: float, lot: float, position: float) -> float:
    if lot == 0 or order == -position:
        return order
    return math.copysign(math.floor(abs(order) / lot * (1 + 1e-12)) * lot, order)
