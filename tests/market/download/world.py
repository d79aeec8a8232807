"""Prices and settlements that every served format is generated from: any instant has one value, so
that a test can say what must have arrived.
"""

from __future__ import annotations

import functools
import math

HOUR = 3_600_000
LISTED = 1_675_213_200_000  # 2023-02-01 01:00 UTC: nothing was traded before
LEVEL = {"perp": 1.0002, "spot": 1.0, "mark": 1.0001, "index": 1.0}
ENDED = {"OLDUSDT": 1_706_745_600_000}  # 2024-02-01: trading ends
BEGUN = {"NEWUSDT": 1_706_745_600_000}
# 2024-02-06 07:00 .. 10:00: no spot rows anywhere
SPOT_HALT = (1_707_202_800_000, 1_707_213_600_000)


def trades(symbol: str, kind: str, ms: int) -> bool:
    if kind == "spot" and SPOT_HALT[0] <= ms < SPOT_HALT[1]:
        return False
    return max(LISTED, BEGUN.get(symbol, 0)) <= ms < ENDED.get(symbol, 2**62)


@functools.cache
def price(ms: int) -> float:
    hours = ms / HOUR
    return 30_000.0 * math.exp(0.05 * math.sin(hours / 97.0) + 0.004 * math.sin(hours * 1.7))


def bar(kind: str, ms: int, step: int) -> tuple[float, float, float, float, float]:
    """open, high, low, close, volume of the bar that opens at `ms`."""
    if kind == "premium":
        values = [2e-4 + 1e-4 * math.sin(t / HOUR / 11.0) for t in (ms, ms + step)]
        return values[0], max(values) + 1e-5, min(values) - 1e-5, values[1], 0.0
    start, end = (LEVEL[kind] * price(t) for t in (ms, ms + step))
    traded = kind in ("perp", "spot")
    return (
        *tuple(round(v, 4) for v in (start, max(start, end) * 1.001, min(start, end) * 0.999, end)),
        10.0 if traded else 0.0,
    )


def rate(ms: int) -> float:
    return round(1e-4 + 5e-5 * math.sin(ms / HOUR / 50.0), 8)


def opens(symbol: str, kind: str, start: int, end: int, step: int) -> list[int]:
    first = -(-start // step) * step
    return [ms for ms in range(first, end, step) if trades(symbol, kind, ms)]


def settlements(symbol: str, start: int, end: int, hours: int = 8) -> list[int]:
    return [
        ms
        for ms in range(-(-start // (hours * HOUR)) * hours * HOUR, end, hours * HOUR)
        if trades(symbol, "perp", ms)
    ]
