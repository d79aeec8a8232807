"""The rules of a venue file: what each is, its range and unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

from fundenv.choices import Contract, Procedure
from fundenv.settings import Range, Settings, SettingsError
from fundenv.settings.base import Field, fields_of

Key = tuple[str, str]


class VenueError(SettingsError):
    """A venue file that cannot be used; the message names file, key, value and what was
    expected.
    """


class PerSymbol(NamedTuple):
    """Mark of a rule that has an entry `default` and one for each special symbol."""


_Fee = Annotated[float, Range(-0.01, 0.05, "of notional")]
_Flag = Range(0, 1, "0 or 1")
_Rate = Annotated[float, Range(0, 10, "per year")]
_Spread = Annotated[float, Range(0, 1000, "bp of the price"), PerSymbol()]
_Size = Range(0, 1e12, "units of the leg")
_Money = Range(0, 1e12, "quote")


@dataclass(frozen=True, kw_only=True)
class Fees(Settings):
    """Fees of one tier; below 0 the venue pays."""

    perp_taker: _Fee
    """Fee of a perpetual order that takes liquidity."""
    perp_maker: _Fee
    """Fee of a perpetual order that rests in the book."""
    spot_taker: _Fee
    """Fee of a spot order that takes liquidity."""
    spot_maker: _Fee
    """Fee of a spot order that rests in the book."""


@dataclass(frozen=True, kw_only=True)
class Funding(Settings):
    """How the venue sets and settles funding."""

    rule: Literal[
        "binance",
        "bybit",
        "okx",
        "okx_until_2025",
        "bitmex",
        "deribit",
        "hyperliquid",
        "dydx",
        "kraken",
        "trailing_average",
    ]
    """Formula from premium to rate (fundenv.formulas)."""
    price: Literal["mark", "oracle", "index"]
    """Price that gives the notional of a settlement."""
    interval_hours: Annotated[float, Range(1, 24, "hours")]
    """Time between two settlements."""
    first_hour: Annotated[float, Range(0, 23, "hour, UTC")]
    """Hour (UTC) of the first settlement of a day."""
    lag_intervals: Annotated[float, _Flag]
    """1: a settlement pays the rate of the interval before the last; 0: of the last."""
    interest_8h: Annotated[float, Range(-0.01, 0.01, "per 8 h")]
    """Interest part of the rate."""
    clamp: Annotated[float, Range(0, 0.05, "per 8 h")]
    """Limit of interest minus premium; of Deribit the dead band."""
    scaled: Annotated[float, _Flag]
    """1: the rate of an interval of N hours is N / 8 of the rate of 8 h."""
    cap: Annotated[float, Range(0, 1, "of notional"), PerSymbol()]
    """Highest rate of one settlement, either way."""


@dataclass(frozen=True, kw_only=True)
class Liquidation(Settings):
    """What happens to an account below its maintenance margin."""

    procedure: Procedure
    """How much of a position is closed at once."""
    maintenance_on: Literal["mark", "entry"]
    """Price that gives the notional for the maintenance margin."""
    fee: Annotated[float, Range(0, 0.1, "of notional")]
    """Fee on the closed notional."""
    partial_above: Annotated[float, _Money]
    """The venue closes a position of at most this notional whole at once."""
    closing_fee: Annotated[float, Range(0, 0.05, "of notional")]
    """Fee of closing that the venue counts as a part of the maintenance rate."""


@dataclass(frozen=True, kw_only=True)
class Borrow(Settings):
    """Interest on the spot account."""

    quote_annual: _Rate
    """Interest on borrowed quote."""
    base_annual: _Rate
    """Interest on borrowed coins."""
    clock_hours: Annotated[float, _Flag]
    """1: the venue charges every started clock hour whole."""


@dataclass(frozen=True, kw_only=True)
class Wallet(Settings):
    """What the venue pays for money that lies there."""

    annual: Annotated[float, Range(0, 1, "per year")]
    """Interest on money in the wallet of a perpetual."""


@dataclass(frozen=True, kw_only=True)
class Execution(Settings):
    """Costs and sizes of orders."""

    half_spread_perp_bp: _Spread
    """Half of the quoted spread of the perpetual."""
    half_spread_spot_bp: _Spread
    """Half of the quoted spread of the spot."""
    impact_coefficient: Annotated[float, Range(0, 100, "times"), PerSymbol()]
    """Y of Y x daily volatility x sqrt(order / daily volume)."""
    lot_perp: Annotated[float, _Size, PerSymbol()]
    """Step of an order on the perpetual; 0: none."""
    lot_spot: Annotated[float, _Size, PerSymbol()]
    """Step of an order on the spot; 0: none."""
    min_notional_perp: Annotated[float, _Money, PerSymbol()]
    """Smallest order on the perpetual."""
    min_notional_spot: Annotated[float, _Money, PerSymbol()]
    """Smallest order on the spot."""


@dataclass(frozen=True, kw_only=True)
class VenueRules(Settings):
    """The rules of a venue file; each value is a table {value, source, date}."""

    fees: Fees
    fees_high: Fees
    funding: Funding
    liquidation: Liquidation
    borrow: Borrow
    wallet: Wallet
    collateral: Annotated[float, Range(0, 1, "of the value"), PerSymbol()]
    """Share of a coin's value that counts as collateral in portfolio margin."""
    execution: Execution


@dataclass(frozen=True, kw_only=True)
class Head(Settings):
    """What stands above the rules."""

    error: ClassVar[type[ValueError]] = VenueError

    name: str
    """Name of the venue; the part before an underscore is that of its data files."""
    title: str
    """Its name for readers."""
    contract: Contract
    """Margined in quote (linear) or in coins (inverse)."""


def _leaves() -> dict[Key, Field]:
    found: dict[Key, Field] = {}
    for section, field in fields_of(VenueRules).items():
        inner = (
            fields_of(field.kind)
            if isinstance(field.kind, type) and issubclass(field.kind, Settings)
            else {"": field}
        )
        found |= {(section, name): rule for name, rule in inner.items()}
    return found


RULES = _leaves()
CHOICES = {key: rule for key, rule in RULES.items() if rule.choices}
PER_SYMBOL = {key: rule for key, rule in RULES.items() if PerSymbol() in rule.notes}
SCALARS = {key: rule for key, rule in RULES.items() if key not in CHOICES | PER_SYMBOL}
