"""Inputs of the forecasters, in groups that can be switched: each is causal, one row per origin.

Levels of funding and basis are measured from the slow mean of the coin's own rate and divided by
the scale of its changes. So one set of weights fits every coin and years of any volatility.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.errors import ForecastError
from fundenv.forecast.extra import PREFIX, RATE
from fundenv.forecast.history import Panel
from fundenv.forecast.inputs.groups import OWN
from fundenv.forecast.inputs.others import others

Array = NDArray[np.float64]
GROUPS = {
    "funding": "the coin's own settled rates: last, means over 2 .. 90 settlements, scale",
    "premium": "running estimate of the pending rate, premium of the last hours",
    "basis": "perp / spot - 1 over the last hour, 8, 24 and 72 hours",
    "volatility": "realised volatility of spot over 1, 7 and 30 days",
    "returns": "spot returns over 1, 3, 7 and 14 days",
    "volume": "turnover of the last day over its 30-day mean",
    "open_interest": "changes of the column open_interest over 1 and 7 days",
    "others": "funding of the other coins: mean, dispersion, first component",
    "other_venue": "rates of another venue: columns rate_* of a file of the user's own, bp per 8 h",
    "user": "the other columns of a file of the user's own",
}
_LIMIT = 8.0  # scaled inputs are clipped to +- this


def available(panel: Panel) -> tuple[str, ...]:
    """The groups whose data every history has."""
    names = set.intersection(*(set(history.columns) for history in panel))
    found = ["funding"]
    if {"perp", "spot"} <= names:
        found += ["premium", "basis"]
    found += [
        group
        for group, column in (
            ("volatility", "volatility_7d"),
            ("returns", "return_7d"),
            ("volume", "volume_ratio"),
            ("open_interest", "open_interest"),
        )
        if column in names
    ]
    if len({history.symbol for history in panel}) > 1:
        found.append("others")
    own = [name for name in names if name.startswith(PREFIX)]
    if any(name.startswith(RATE) for name in own):
        found.append("other_venue")
    if any(not name.startswith(RATE) for name in own):
        found.append("user")
    return tuple(found)


def check_groups(groups: Sequence[str], panel: Panel | None = None) -> tuple[str, ...]:
    """The groups, checked. Raises `ForecastError` for an unknown one and, with a panel, for one
    whose data are missing.
    """
    for group in groups:
        if group not in GROUPS:
            raise ForecastError(f"inputs {group!r} are unknown; known: {', '.join(GROUPS)}")
        if panel is not None and group not in available(panel):
            remedy = {
                "others": "load at least two coins",
                "user": "give the file with --extra FILE",
                "other_venue": "give --extra FILE with a column rate_VENUE, bp per 8 h",
                "open_interest": "give --extra open_interest=1e9, in Python load_market(extra=...)",
            }.get(group, "give perp and spot bars of every coin")
            raise ForecastError(f"inputs {group!r}: the data are missing; {remedy}")
    return tuple(groups)


def matrices(panel: Panel, groups: Sequence[str]) -> tuple[tuple[str, ...], list[Array]]:
    """Names (F,) and, for each history, the inputs (K, F). Unknown values are 0, which is the
    middle of every input but the user's. A panel keeps the arrays for later calls, so they are
    read-only.
    """
    names, _, found = _made(panel, tuple(groups))
    return names, found


def owners(panel: Panel, groups: Sequence[str]) -> tuple[str, ...]:
    """(F,) the group that each input of `matrices` belongs to."""
    return _made(panel, tuple(groups))[1]


def _made(
    panel: Panel, groups: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...], list[Array]]:
    if groups not in panel.made:
        panel.made[groups] = _make(panel, groups)
    found: tuple[tuple[str, ...], tuple[str, ...], list[Array]] = panel.made[groups]
    return found


def _make(
    panel: Panel, groups: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...], list[Array]]:
    of_others = others(panel) if "others" in groups else []
    names: list[str] = []
    groups_of: list[str] = []
    found = []
    for i, history in enumerate(panel):
        blocks = {
            group: of_others[i] if group == "others" else OWN[group](history, history.scale)
            for group in groups
        }
        names = [name for block in blocks.values() for name in block]
        groups_of = [group for group, block in blocks.items() for _ in block]
        matrix = np.column_stack([column for block in blocks.values() for column in block.values()])
        limit = np.array([np.inf if name.startswith(PREFIX) else _LIMIT for name in names])
        matrix = np.clip(np.nan_to_num(matrix, nan=0.0, posinf=0.0, neginf=0.0), -limit, limit)
        matrix.setflags(write=False)
        found.append(matrix)
    return tuple(names), tuple(groups_of), found
