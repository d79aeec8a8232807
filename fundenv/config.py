"""What a user sets in the environment, in human units."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from fundenv.choices import (
    Actions,
    AfterLiquidation,
    Capital,
    FeeTier,
    KeeperWatches,
    MarginMode,
)
from fundenv.settings import Range, Settings, nearest
from fundenv.settings.base import fields_of, said
from fundenv.settings.forms import (
    DIALS,
    KEEPER,
    REWARDS,
    ConfigError,
    Day,
    Dials,
    Draws,
    Duration,
    Observe,
    Paths,
    Reward,
    hours,
    ranges_of,
)

__all__ = ["DIALS", "ConfigError", "EnvConfig", "UnknownSetting", "code", "hours", "limits"]


# what an env takes beside its settings
ARGUMENTS = ("market", "symbols", "config", "render_mode", "info")


class UnknownSetting(ConfigError, TypeError):
    """A keyword that no setting has: a `TypeError` too, as of any call with a wrong keyword."""

    def __init__(self, text: str) -> None:
        """Keep the first sentence: `gymnasium.make` raises a `TypeError` again with its own words
        and all keywords behind it.
        """
        super().__init__(text.partition(" was raised from the environment creator")[0])


@dataclass(frozen=True, kw_only=True)
class EnvConfig(Settings):
    """Every setting of the environment, with its range and unit.

    Durations are pandas strings ("8h", "90D"). Annual rates and fractions are plain numbers (0.045
    = 4.5 %). `None` for a fee or borrow rate means the venue's own value.
    """

    error: ClassVar[type[ValueError]] = ConfigError
    # settings that came later, and the value at which the env does what it did before them: at that
    # value they are no part of the hash, so older ones hold
    added: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "capital": "parts",
            "keeper_watches": "wallet",
            "keeper_grid": (1.1, 1.6, 2.5),
            "observe": (),
            "base_supply": 0.0,
            "quote_supply": 0.0,
            "borrow_used": 0.6,
            "borrow_norm": 0.05,
            "borrow_steep": 1.0,
            "liquidation_gap": 0.0,
            "deficit_share": 0.0,
            "impact_exponent": 0.5,
            "impact_lasting": 0.0,
            "impact_half_life": "8h",
            "funding_response": 0.0,
            "venues": (),
            "transfer_delay": None,
            "transfer_cost": 0.0,
            "failure_rate": 0.02,
            "failure_loss": 0.9,
            "maker_fill": 0.97,
            "maker_missed": 80.0,
            "crash_spread": 54.0,
            "crash_impact": 4.5,
        }
    )
    # and of these only while the setting that gives them a meaning is off
    idle: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "maker_fill": "maker_share",
            "maker_missed": "maker_share",
            "crash_spread": "crash_sigma",
            "crash_impact": "crash_sigma",
        }
    )

    # account
    venue: str = "binance"
    """Exchange whose rules hold for the account, and for assets whose name says no other: a venue
    of the package, or the path of your own TOML.
    """
    venues: Annotated[tuple[str, ...], Paths] = ()
    """Files of your own for assets whose name says their venue (hyperliquid:BTC); others of these
    names are the package's.
    """
    venue_date: Annotated[str | None, Day] = None
    """Day whose rules of the venue hold; none: the day on which an episode begins."""
    margin_mode: MarginMode = "isolated"
    """One wallet for each perpetual, one wallet for all, or no wallet and spot coins as collateral.
    """
    initial_equity: Annotated[float, Range(1e-6, 1e15, "quote")] = 100_000.0
    """Money at the start of an episode."""
    max_leverage: Annotated[float, Range(1, 125, "times")] = 10.0
    """Highest target leverage, at most what the venue's first bracket allows."""
    cash_rate: Annotated[float, Range(-0.5, 1, "per year")] = 0.045
    """Interest on idle cash."""
    quote_borrow_rate: Annotated[float | None, Range(0, 10, "per year")] = None
    """Interest on borrowed quote; none: the venue's."""
    base_borrow_rate: Annotated[float | None, Range(0, 10, "per year")] = None
    """Interest on borrowed coins; none: the venue's."""
    allow_short_spot: bool = True
    """Whether the account may borrow and sell coins; if not, a reverse carry becomes flat."""
    base_supply: Annotated[float, Range(0, 1e15, "quote")] = 5_000_000.0
    """Pool from which the account and others borrow an asset's coins; 0: no limit, at a flat rate.
    """
    quote_supply: Annotated[float, Range(0, 1e15, "quote")] = 0.0
    """Pool from which an account in portfolio margin borrows quote; 0: no limit, at a flat rate."""
    borrow_used: Annotated[float, Range(0, 1, "of the pool")] = 0.6
    """Share of the pool that others borrow in a calm market."""
    borrow_norm: Annotated[float, Range(1e-4, 10, "daily volatility")] = 0.05
    """Above this daily volatility others borrow more, in proportion."""
    borrow_steep: Annotated[float, Range(0, 100, "per year")] = 1.0
    """Added to the borrow rate when the whole pool is lent out; up to 80 % of it nothing is added.
    """
    ruin_fraction: Annotated[float, Range(0, 0.99, "of the initial equity")] = 0.1
    """The episode is terminated at or below this equity."""

    transfer_delay: Annotated[str | None, Duration] = None
    """Time that money needs between the account's venue and a wallet on another; none: no time."""
    transfer_cost: Annotated[float, Range(0, 1e6, "quote")] = 0.0
    """Fee of such a transfer, where it takes time."""
    failure_rate: Annotated[float, Range(0, 1, "per year")] = 0.02
    """Probability that a venue fails, at which reports price what lies there; no episode draws it.
    """
    failure_loss: Annotated[float, Range(0, 1, "of the money there")] = 0.9
    """What a venue that fails does not give back."""

    # time
    decision_interval: Annotated[str, Duration] = "8h"
    """Time between two decisions, a multiple of the market's bar."""
    episode: Annotated[str | None, Duration] = "90D"
    """Length of an episode; none: to the end of the data."""
    random_start: bool = True
    """Episodes begin at random; if not, environment i begins at the first row of path i mod P."""
    start_invested: Annotated[float, Range(0, 1, "probability")] = 0.0
    """An episode with a random start begins with full carry."""

    # action
    actions: Actions = "continuous"
    """Form of an action: dials in a Box, choices from the grids, targets in physical units (for
    rules), or one number for the whole decision.
    """
    dials: Annotated[tuple[str, ...], Dials] = DIALS
    """Dials that the action controls, in this order; the others are fixed at the values below. With
    `keeper` the agent also sets `keeper_up`, in one entry after those of all assets; `keeper_down`
    is then 1 / keeper_up^2.
    """
    carry: Annotated[float, Range(-1, 1, "of full carry")] = 1.0
    """Value of a frozen carry dial; below 0 the carry is reversed."""
    hedge: Annotated[float, Range(0, 1.5, "spot over perpetual")] = 1.0
    """Value of a frozen hedge dial."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Value of a frozen leverage dial, at most `max_leverage`."""
    carry_grid: Annotated[tuple[float, ...], Range(-1, 1, "of full carry")] = (
        -1.0,
        -0.5,
        0.0,
        0.5,
        1.0,
    )
    """Carries of discrete and indexed actions."""
    hedge_grid: Annotated[tuple[float, ...], Range(0, 1.5, "spot over perpetual")] = (0.9, 1.0, 1.1)
    """Hedge ratios of discrete and indexed actions."""
    leverage_grid: Annotated[tuple[float, ...], Range(1, 125, "times")] = (1.0, 2.0, 3.0, 5.0)
    """Leverages of discrete and indexed actions, at most `max_leverage`."""
    keeper_grid: Annotated[tuple[float, ...], Range(1, 100, "of the target")] = (1.1, 1.6, 2.5)
    """Values of `keeper_up` of discrete and indexed actions."""

    capital: Capital = "parts"
    """Each of A assets works with 1/A of the equity, or carries are shares of the whole equity."""

    # execution
    perp_fee: Annotated[float | None, Range(-0.01, 0.05, "of notional")] = None
    """Fee on the perpetual; none: the venue's."""
    spot_fee: Annotated[float | None, Range(-0.01, 0.05, "of notional")] = None
    """Fee on the spot; none: the venue's."""
    fee_tier: FeeTier = "base"
    """The venue's fees of a regular user, or of one high tier."""
    maker_share: Annotated[float, Range(0, 1, "of an order")] = 0.0
    """Share of every order that waits in the order book, for the maker fee and no half-spread;
    forced orders, and orders behind a crash, do not wait.
    """
    maker_fill: Annotated[float, Range(0, 1, "of the waiting part")] = 0.97
    """Share of it that is filled; the rest crosses the spread later."""
    maker_missed: Annotated[float, Range(0, 1000, "bp")] = 80.0
    """How far the price has run away from what was not filled: adverse selection."""
    fee_scale: Annotated[float, Range(0, 100, "times")] = 1.0
    """Multiplies every fee."""
    cost_scale: Annotated[float, Range(0, 100, "times")] = 1.0
    """Multiplies half-spread and impact."""
    stress_multiplier: Annotated[float, Range(1, 100, "times")] = 5.0
    """Multiplies half-spread and impact of forced orders."""
    crash_sigma: Annotated[float | None, Range(0, 100, "daily volatilities")] = None
    """A larger range of the mark price in a bar is a crash: the next orders cost more; 0: never;
    none: 2.5 in accounts on several venues and under a named shock, elsewhere never.
    """
    crash_spread: Annotated[float, Range(1, 1000, "times")] = 54.0
    """Multiplies the half-spread of all orders behind a crash."""
    crash_impact: Annotated[float, Range(1, 1000, "times")] = 4.5
    """Multiplies their impact."""
    adl_sigma: Annotated[float, Range(0, 100, "daily volatilities")] = 0.0
    """Move of the mark price in a bar, in favour of a position, that deleverages it; 0: never."""
    adl_share: Annotated[float, Range(0.01, 0.9, "of the position")] = 0.5
    """Share of the position that the venue then closes."""
    margin_level: Annotated[float, Range(0, 10, "assets over debt")] = 0.0
    """Assets over debts at which the account buys borrowed coins back (Binance 1.1); 0: never."""
    liquidation_gap: Annotated[float, Range(0, 1, "of the bar's further range")] = 0.0
    """Fill of a liquidation: 0 at the liquidation price, 1 at the worst mark price of the bar."""
    deficit_share: Annotated[float, Range(0, 1, "of the loss beyond a wallet")] = 0.0
    """Share that the account pays of a loss beyond its wallet; the venue pays the rest."""
    impact_exponent: Annotated[float, Range(0.2, 1, "of order over day volume")] = 0.5
    """Impact grows with this power of the order size; 1/2: the square root, 1: in proportion."""
    impact_lasting: Annotated[float, Range(0, 1, "of the impact")] = 0.0
    """Share of the impact that displaces the price for later orders of the account; 0: none."""
    impact_half_life: Annotated[str | None, Duration] = "8h"
    """Time in which half of the displaced volume comes back; none: it never does."""
    funding_response: Annotated[float, Range(0, 10, "times")] = 0.0
    """Change of the settled rate over the premium that the account's own orders displace; 0: none.
    """
    rebalance_band: Annotated[float, Range(0, 1, "of equity")] = 0.02
    """Smaller orders are not sent. With several assets: as a part of an asset's share of the
    equity.
    """
    max_participation: Annotated[float, Range(0, 1, "of a bar's volume")] = 0.1
    """Largest share of the bar's volume that an order may take; 0: no limit."""

    # risk
    after_liquidation: AfterLiquidation = "flatten"
    """After a liquidation: sell the spot, open the perpetual again, or wait for the next decision.
    """
    keeper_interval: Annotated[str | None, Duration] = "1h"
    """Time between two checks of the margin keeper; none: there is no keeper."""
    keeper_watches: KeeperWatches = "wallet"
    """What the keeper compares: the leverage of each wallet (not in portfolio margin), or the
    equity in use.
    """
    keeper_down: Annotated[float, Range(0, 1, "of the target leverage")] = 1 / 2.56
    """The keeper acts below this leverage."""
    keeper_up: Annotated[float, Range(1, 100, "of the target leverage")] = 1.6
    """The keeper acts above this leverage."""

    # reward
    reward: Annotated[str, Reward] = "log_growth"
    """`log_growth` of equity, `mean_variance` (growth less variance), `expected` (growth with the
    expected price profit), or your own: package.module:function.
    """
    risk_aversion: Annotated[float, Range(0, 1e6, "gamma")] = 10.0
    """Weight of the variance in `mean_variance`."""
    basis_half_life: Annotated[str, Duration] = "12h"
    """Half-life of a deviation of the basis, for `expected`; on Binance 30 % reverts in 8 h."""

    # observation
    observe: Annotated[tuple[str, ...], Observe] = ()
    """Observations beyond the usual ones, in this order: `available`, `liquidation_distance`,
    `spot_displacement`, `perp_displacement` of each asset, `unused_collateral`, `borrow_cost`,
    `keeper_up` of the account.
    """

    # training and stress
    funding_scale: Annotated[float, Range(0, 10, "times")] = 1.0
    """Multiplies every settled rate, and the observations of funding."""
    funding_shift: Annotated[float, Range(-5, 5, "per year")] = 0.0
    """Added to funding (0.033 is 0.3 bp per 8 h), and to the observations of funding."""
    randomize: Annotated[Any, Draws] = ()
    """Numbers drawn anew for each episode: {field of fundenv.dynamics.types.Params: [low, high]},
    or ["log", low, high].
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "randomize", ranges_of(self.randomize))
        super().__post_init__()
        highest = {"leverage": self.leverage, "leverage_grid": max(self.leverage_grid)}
        for name, value in highest.items():
            if value > self.max_leverage:
                raise ConfigError(
                    f"{name} = {getattr(self, name)!r} is outside 1 .. max_leverage ="
                    f" {self.max_leverage}; lower it or raise max_leverage"
                )
        if self.funding_response > 0 and self.impact_lasting == 0:
            drawn = {name for name, *_ in self.randomize}
            if "impact_lasting" not in drawn:
                raise ConfigError(
                    f"funding_response = {self.funding_response:g} answers to what impact leaves"
                    " behind, and impact_lasting is 0; set it above 0"
                )
        if self.transfer_cost > 0 and self.transfer_delay is None:
            raise ConfigError(
                f"transfer_cost = {self.transfer_cost:g} is the fee of transfers that take time,"
                " and transfer_delay is None; set it"
            )
        clash = {name for name, *_ in self.randomize} & {"keeper_up", "keeper_down"}
        if KEEPER in self.dials and clash:
            raise ConfigError(
                f"randomize has {sorted(clash)[0]!r} and dials has 'keeper', which sets it; drop"
                " one"
            )

    @classmethod
    def unknown(cls, name: str) -> ValueError:
        """The error for a keyword that is no setting, in the words of Python's own too."""
        known = (*fields_of(cls), *(each for each in ARGUMENTS if each != name))
        return UnknownSetting(
            f"unknown setting {name!r}; {nearest(name, known)}"
            f" (got an unexpected keyword argument {name!r})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `from_dict` reads them back."""
        return super().to_dict() | {
            "randomize": {name: list(drawn) for name, *drawn in self.randomize}
        }

    @classmethod
    def resolve(cls, config: Any, settings: dict[str, Any]) -> EnvConfig:
        """The whole `config` where one is given, else one of the `settings`; `ConfigError` for both
        and for what is no `EnvConfig`.
        """
        if config is None:
            return cls.from_dict(settings)
        if not isinstance(config, cls):
            remedy = "**settings, or EnvConfig.from_dict(..)"
            raise ConfigError(f"config = {said(config)[:60]} is no EnvConfig; give {remedy}")
        if settings:
            raise ConfigError(
                f"both config and {', '.join(settings)} are given; put them into the config"
            )
        return config

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EnvConfig:
        """A config from keyword values; an unknown name raises `ConfigError` with the nearest known
        ones.
        """
        return cls(**values)

    @property
    def hash(self) -> str:
        """Twelve hex digits over all settings."""
        values = {
            name: value
            for name, value in self.to_dict().items()
            if name not in self.added
            or getattr(self, name) != self.added[name]
            or (name in self.idle and getattr(self, self.idle[name]))
        }
        # the hash of the default is the one that it had before it could be none
        values["crash_sigma"] = 0.0 if self.crash_sigma is None else self.crash_sigma or "never"
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def code(name: str, value: str) -> int:
    """The kernel's integer for a choice: its position among the values allowed.

    A reward of the user's own stands as `log_growth`, which `fundenv.batch.own_reward` replaces.
    """
    if name == "reward":
        return REWARDS.index(value) if value in REWARDS else 0
    return fields_of(EnvConfig)[name].choices.index(value)


def limits(name: str) -> tuple[float, float]:
    """Lowest and highest value of a numeric setting."""
    allowed = fields_of(EnvConfig)[name].range
    assert allowed is not None, f"{name} has no range"
    return float(allowed.low), float(allowed.high)
