"""Profit of contracts in coin."""

from __future__ import annotations


def inverse_profit(perp: float, start: float, end: float) -> float:
    """Coin earned by `perp` quote units of contracts between two prices."""
    return perp / start - perp / end if perp else 0.0
