"""What a user sets, in human units, and what the kernel reads."""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

DIALS = ("carry", "hedge", "leverage")


class ConfigError(ValueError):
    """A setting that cannot be used; the message names the setting, the value, the limit and the
    remedy.
    """


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Every setting of the environment, with its range and unit.

    Durations are pandas strings ("8h", "90D"). Annual rates and fractions are plain numbers (0.045
    = 4.5 %). `None` for a fee or borrow rate means the venue's own value.
    """

    # account
    venue: str = "binance"  # name of a venue of the package, or the path of one's own TOML
    venue_date: str | None = (
        # "2024-10-24": the rules in force on that day; None: those of the day on which an episode
        # begins
        None
    )
    margin_mode: Literal["isolated", "cross", "portfolio"] = "isolated"
    initial_equity: float = 100_000.0  # quote, > 0
    max_leverage: float = 10.0  # 1 .. 125, at most what the venue's first bracket allows
    cash_rate: float = 0.045  # annual, earned on idle cash, -0.5 .. 1
    quote_borrow_rate: float | None = None  # annual, 0 .. 10
    base_borrow_rate: float | None = None  # annual, 0 .. 10
    allow_short_spot: bool = True  # False: a reverse carry becomes flat
    ruin_fraction: float = (
        0.1  # terminated at or below this fraction of the initial equity, 0 .. 0.99
    )
    # time
    decision_interval: str = "8h"  # a multiple of the market's bar
    episode: str | None = "90D"  # None: to the end of the data
    random_start: bool = True  # False: environment i walks path i mod P from its first row
    start_invested: float = (
        0.0  # probability that an episode with a random start begins with full carry, 0 .. 1
    )
    # action
    actions: Literal["continuous", "discrete", "target"] = "continuous"
    dials: tuple[str, ...] = (
        # the dials that the action controls, in this order; the others stand at the values below
        DIALS
    )
    carry: float = 1.0  # value of a frozen carry dial, -1 .. 1
    hedge: float = 1.0  # value of a frozen hedge dial, 0 .. 1.5
    leverage: float = 3.0  # value of a frozen leverage dial, 1 .. max_leverage
    carry_grid: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0)  # discrete actions
    hedge_grid: tuple[float, ...] = (0.9, 1.0, 1.1)
    leverage_grid: tuple[float, ...] = (1.0, 2.0, 3.0, 5.0)
    # execution
    perp_fee: float | None = None  # fraction of notional, -0.01 .. 0.05
    spot_fee: float | None = None
    fee_tier: Literal["base", "high"] = (
        "base"  # the venue's fees of a regular user, or of one high tier
    )
    maker_share: float = (
        0.0  # share of every own order that rests in the book: maker fee, no half-spread, 0 .. 1
    )
    fee_scale: float = 1.0  # 0 .. 100
    cost_scale: float = 1.0  # scales half-spread and impact, 0 .. 100
    stress_multiplier: float = (
        5.0  # on half-spread and impact of forced orders, and of all orders in a crash, 1 .. 100
    )
    # a bar in which mark ranged over more daily volatilities is a crash: the next open is stressed;
    # 0 = none, 0 .. 100
    crash_sigma: float = 0.0
    # auto-deleveraging: mark moves so many daily volatilities in favour of a position within a bar;
    # 0 = never, 0 .. 100
    adl_sigma: float = 0.0
    adl_share: float = 0.5  # share of the position that the venue then closes, 0.01 .. 0.9
    # assets over debt of the spot account at which borrowed coins are bought back; 1.1 at Binance;
    # 0 = never, 0 .. 10
    margin_level: float = 0.0
    rebalance_band: float = 0.02  # fraction of equity, 0 .. 1
    max_participation: float = 0.1  # fraction of a bar's volume, 0 .. 1; 0 = no limit
    # risk
    after_liquidation: Literal["flatten", "rehedge", "naked"] = "flatten"
    keeper_interval: str | None = "1h"  # how often the margin keeper looks; None = off
    keeper_down: float = 1 / 2.56  # it acts below keeper_down x target leverage, 0 .. 1
    keeper_up: float = 1.6  # and above keeper_up x target leverage, 1 .. 100
    # reward
    reward: Literal["log_growth", "mean_variance", "expected"] = "log_growth"
    risk_aversion: float = 10.0  # gamma of mean_variance, 0 .. 1e6
    # of the basis deviation, for the `expected` reward: about 30 % reverts in 8 h on Binance
    basis_half_life: str = "12h"
    # training and stress
    funding_scale: float = (
        1.0  # multiplies every settled rate, 0 .. 10; the observations of funding follow
    )
    # annual rate added to funding, -5 .. 5 (0.033 is 0.3 bp per 8 h); the observations follow
    funding_shift: float = 0.0
    # {field of fundenv.dynamics.types.Params: (low, high) or ("log", low, high)}, drawn anew for
    # each episode
    randomize: Any = ()

    def __post_init__(self) -> None:
        for name in ("dials", "carry_grid", "hedge_grid", "leverage_grid"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "randomize", _ranges(self.randomize))
        _check_choices(self)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and low <= value <= high):
                raise ConfigError(f"{name} = {value!r} is outside {low} .. {high}; set it within")
        if not 1 <= self.leverage <= self.max_leverage:
            raise ConfigError(
                f"leverage = {self.leverage!r} is outside 1 .. max_leverage = {self.max_leverage};"
                " lower it or raise max_leverage"
            )
        for name, (low, high) in {
            "carry_grid": (-1.0, 1.0),
            "hedge_grid": (0.0, 1.5),
            "leverage_grid": (1.0, self.max_leverage),
        }.items():
            grid = getattr(self, name)
            if not grid or any(not low <= value <= high for value in grid):
                raise ConfigError(
                    f"{name} = {grid!r}: expected at least one value, each within {low} .. {high}"
                )
        if self.venue_date is not None:
            _check_date(self.venue_date)
        for name in ("decision_interval", "episode", "keeper_interval", "basis_half_life"):
            if getattr(self, name) is not None:
                hours(getattr(self, name), name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` reads them back."""
        values = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
        }
        return values | {"randomize": {name: list(drawn) for name, *drawn in self.randomize}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EnvConfig:
        """A config from keyword values; an unknown name raises `ConfigError` with the nearest known
        ones.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3) or known
                raise ConfigError(f"unknown setting {name!r}; did you mean {', '.join(near)}?")
        return cls(**values)

    @property
    def hash(self) -> str:
        """Twelve hex digits over all settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]


_RANGES: dict[str, tuple[float, float]] = {
    "initial_equity": (1e-6, 1e15),
    "max_leverage": (1.0, 125.0),
    "cash_rate": (-0.5, 1.0),
    "quote_borrow_rate": (0.0, 10.0),
    "base_borrow_rate": (0.0, 10.0),
    "ruin_fraction": (0.0, 0.99),
    "start_invested": (0.0, 1.0),
    "carry": (-1.0, 1.0),
    "hedge": (0.0, 1.5),
    "perp_fee": (-0.01, 0.05),
    "spot_fee": (-0.01, 0.05),
    "maker_share": (0.0, 1.0),
    "fee_scale": (0.0, 100.0),
    "cost_scale": (0.0, 100.0),
    "stress_multiplier": (1.0, 100.0),
    "crash_sigma": (0.0, 100.0),
    "adl_sigma": (0.0, 100.0),
    "adl_share": (0.01, 0.9),
    "margin_level": (0.0, 10.0),
    "rebalance_band": (0.0, 1.0),
    "max_participation": (0.0, 1.0),
    "keeper_down": (0.0, 1.0),
    "keeper_up": (1.0, 100.0),
    "risk_aversion": (0.0, 1e6),
    "funding_scale": (0.0, 10.0),
    "funding_shift": (-5.0, 5.0),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "margin_mode": ("isolated", "cross", "portfolio"),
    "fee_tier": ("base", "high"),
    "actions": ("continuous", "discrete", "target"),
    "after_liquidation": ("flatten", "rehedge", "naked"),
    "reward": ("log_growth", "mean_variance", "expected"),
}


def code(name: str, value: str) -> int:
    """The kernel's integer for a choice: its position among the values allowed."""
    return _CHOICES[name].index(value)


def limits(name: str) -> tuple[float, float]:
    """Lowest and highest value of a numeric setting."""
    return _RANGES[name]


def _ranges(given: Any) -> tuple[tuple[str, str, float, float], ...]:
    """(name, "uniform" or "log", low, high), sorted by name, of what the user wrote; values that
    are so already pass unchanged.
    """
    items = (
        given.items() if isinstance(given, Mapping) else [(name, drawn) for name, *drawn in given]
    )
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
                f"randomize[{name!r}] = {drawn!r}: expected (low, high), or ('log', low, high) with"
                " 0 < low; low <= high"
            )
        ranges.append((str(name), str(kind), float(edges[0]), float(edges[1])))
    return tuple(sorted(ranges))


def _listed(drawn: Any) -> list[Any]:
    return list(drawn) if isinstance(drawn, Sequence) else [drawn]


def _check_choices(config: EnvConfig) -> None:
    for name, allowed in _CHOICES.items():
        if getattr(config, name) not in allowed:
            raise ConfigError(
                f"{name} = {getattr(config, name)!r} is not one of {', '.join(allowed)}"
            )
    if not config.dials or list(config.dials) != [dial for dial in DIALS if dial in config.dials]:
        raise ConfigError(
            f"dials = {config.dials!r}: expected at least one of {', '.join(DIALS)}, in this order"
        )


def _check_date(text: str) -> None:
    try:
        dt.date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"venue_date = {text!r} is not a day such as '2024-10-24'") from error


def hours(duration: str, name: str) -> float:
    """A duration such as "8h" in hours; raises `ConfigError` naming the setting where it cannot be
    read or is not positive.
    """
    try:
        value = pd.Timedelta(duration) / pd.Timedelta(hours=1)
    except ValueError as error:
        raise ConfigError(
            f"{name} = {duration!r} is not a duration such as '8h' or '90D'"
        ) from error
    if not value > 0:
        raise ConfigError(f"{name} = {duration!r} is not a positive duration")
    return float(value)
