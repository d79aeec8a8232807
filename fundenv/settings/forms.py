"""Settings that are neither numbers nor choices: durations, days, dials, ranges to draw from."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fundenv import choices
from fundenv.settings.base import Form, SettingsError, said

DIALS = ("carry", "hedge", "leverage")
REWARDS = choices.names(choices.Reward)
KEEPER = "keeper"  # a dial of the whole account, beside those of every asset
_FREE = (*DIALS, KEEPER)
_IN_ORDER = [subset for n in (1, 2, 3, 4) for subset in itertools.combinations(_FREE, n)]
# columns of fundenv.dynamics.more_columns, which this file cannot import: it would load the kernel
MORE = (
    "available",
    "liquidation_distance",
    "spot_displacement",
    "perp_displacement",
    "unused_collateral",
    "borrow_cost",
    "keeper_up",
)


class ConfigError(SettingsError):
    """A setting that cannot be used; the message names the setting, the value, the limit and the
    remedy.
    """


def hours(duration: str, name: str) -> float:
    """A duration such as "8h" in hours; raises `ConfigError` naming the setting where it cannot be
    read or is not positive.
    """
    try:
        value = pd.Timedelta(duration) / pd.Timedelta(hours=1)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{name} = {said(duration)} is not a duration such as '8h' or '90D'"
        ) from error
    if not value > 0:
        raise ConfigError(f"{name} = {duration!r} is not a positive duration")
    return float(value)


def _check_day(text: Any, name: str) -> None:
    try:
        dt.date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} = {said(text)} is not a day such as '2024-10-24'") from error


def _check_dials(dials: Any, name: str) -> None:
    if dials not in _IN_ORDER:
        raise ConfigError(
            f"{name} = {said(dials)}: expected at least one of {', '.join(_FREE)}, in this order"
        )


def _check_observe(columns: Any, name: str) -> None:
    if not isinstance(columns, tuple) or tuple(c for c in MORE if c in columns) != columns:
        raise ConfigError(
            f"{name} = {said(columns)}: expected some of {', '.join(MORE)}, in this order"
        )


def _check_reward(reward: Any, name: str) -> None:
    own = isinstance(reward, str) and all(reward.partition(":"))
    if reward not in REWARDS and not own:
        raise ConfigError(
            f"{name} = {said(reward)} is not one of {', '.join(REWARDS)}; your own is"
            " package.module:function"
        )


def _check_paths(paths: Any, name: str) -> None:
    if not isinstance(paths, tuple) or not all(isinstance(path, str) and path for path in paths):
        raise ConfigError(f"{name} = {said(paths)}: expected venue files, such as ('mine.toml',)")


Duration = Form("duration", hours)
Paths = Form("files", _check_paths)
Reward = Form("reward", _check_reward)
Day = Form("day", _check_day)
Dials = Form("dials", _check_dials)
Observe = Form("columns", _check_observe)
Draws = Form("ranges", lambda value, name: ranges_of(value))


def ranges_of(given: Any) -> tuple[tuple[str, str, float, float], ...]:
    """(name, "uniform" or "log", low, high), sorted by name, of what the user wrote; values that
    are so already pass unchanged.
    """
    try:
        items = (
            list(given.items())
            if isinstance(given, Mapping)
            else [(name, drawn) for name, *drawn in given]
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"randomize = {said(given)}: expected {{name: (low, high)}} or ('log', low, high)"
        ) from error
    ranges = []
    for name, drawn in items:
        kind, *edges = (
            drawn
            if isinstance(drawn, Sequence) and len(drawn) == 3
            else ("uniform", *_listed(drawn))
        )
        fits = (
            kind in ("uniform", "log")
            and len(edges) == 2
            and all(isinstance(edge, (int, float)) for edge in edges)
        )
        if not fits or not edges[0] <= edges[1] or (kind == "log" and edges[0] <= 0):
            raise ConfigError(
                f"randomize[{name!r}] = {said(drawn)}: expected (low, high), or ('log', low, high)"
                " with 0 < low; low <= high"
            )
        ranges.append((str(name), str(kind), float(edges[0]), float(edges[1])))
    return tuple(sorted(ranges))


def _listed(drawn: Any) -> list[Any]:
    return list(drawn) if isinstance(drawn, Sequence) else [drawn]
