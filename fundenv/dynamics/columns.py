"""Columns of an observation: how one is scaled, and how the kernel writes it."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, NamedTuple

from fundenv.compiler.jit import jit
from fundenv.market import Feature

Column = Feature  # one observation: clip(raw value / scale, low, high), market or account alike


class Seen(NamedTuple):
    """What `observe` knows of a column."""

    at: int  # place among those of the leg or of the account
    per: float  # 1 / scale
    low: float
    high: float


def by_name(name: str, columns: tuple[Column, ...]) -> Any:
    """The columns as a constant of the compiled code: `LEG.leverage.per`."""
    seen = {
        c.name: Seen(at, 1.0 / c.scale, float(c.low), float(c.high)) for at, c in enumerate(columns)
    }
    return namedtuple(name, seen)(**seen)


@jit
def clip(value, low, high):
    """The value within low .. high."""
    return min(max(value, low), high)


@jit
def put_scaled(obs, i, at, column, value):
    """Write a value that is in the scale of its column already."""
    obs[i, at + column.at] = clip(value, column.low, column.high)


@jit
def put(obs, i, at, column, value):
    """Write a value in the unit of its column; `at`: place of the first column of the leg or of the
    account.
    """
    obs[i, at + column.at] = clip(column.per * value, column.low, column.high)
