"""The numbers of an asset, from the venues of its legs: what belongs to the perpetual from its
venue, what belongs to the coins from that of the spot.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from fundenv import choices
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types as t
from fundenv.formulas.fees import blended_rate
from fundenv.market import Market
from fundenv.market.files.frames import contract_of
from fundenv.venues import Rulebook, Venue

_FEES = {"base": "fees", "high": "fees_high"}  # section of the venue file
_QUOTE = "borrow.quote_annual"
_OF_SPOT = ("spot", "base_annual", "collateral")  # in the keys that the venue of the spot answers


def venue_numbers(book: Rulebook, names: Sequence[str]) -> dict[str, float]:
    """A number for each venue of the legs of some assets: 0 for the account's."""
    used = [place[0].name for name in names for place in (book.perp(name), book.spot(name))]
    return {name: float(k) for k, name in enumerate(dict.fromkeys((book.account.name, *used)))}


def asset_rules(
    book: Rulebook, config: EnvConfig, name: str, date: dt.date, numbers: dict[str, float]
) -> t.AssetRules:
    """The rules of the asset `name` that are in force on `date`; numbers: of `venue_numbers`."""
    (venue, symbol), (market, pair) = book.perp(name), book.spot(name)

    def perp(key: str) -> float:
        return venue.value("execution", key, symbol, date)

    def spot(key: str) -> float:
        return market.value("execution", key, pair, date)

    perp_costs = _costs(venue, config, "perp", config.perp_fee, perp("half_spread_perp_bp"), date)
    spot_costs = _costs(market, config, "spot", config.spot_fee, spot("half_spread_spot_bp"), date)
    return t.AssetRules(
        fee_perp=perp_costs.fee,
        fee_spot=spot_costs.fee,
        half_spread_perp=perp_costs.half_spread,
        half_spread_spot=spot_costs.half_spread,
        impact=perp("impact_coefficient"),
        lot_perp=perp("lot_perp"),
        lot_spot=spot("lot_spot"),
        min_notional_perp=perp("min_notional_perp"),
        min_notional_spot=spot("min_notional_spot"),
        liquidation_fee=venue.value("liquidation", "fee", date=date),
        base_borrow_rate=(
            config.base_borrow_rate
            if config.base_borrow_rate is not None
            else market.value("borrow", "base_annual", date=date)
        ),
        procedure=choices.names(choices.Procedure).index(
            venue.choice("liquidation", "procedure", date)
        ),
        collateral_rate=market.value("collateral", "", pair, date),
        partial_above=venue.value("liquidation", "partial_above", date=date),
        entry_margin=float(venue.choice("liquidation", "maintenance_on") == "entry"),
        settles_on_spot=float(venue.choice("funding", "price") != "mark"),
        inverse=float(venue.contract == "inverse"),
        perp_venue=numbers[venue.name],
        spot_venue=numbers[market.name],
        wallet_rate=wallet_rate(venue, book, date),
        forced_fee_perp=perp_costs.forced_fee,
        forced_fee_spot=spot_costs.forced_fee,
        forced_spread_perp=perp_costs.forced_spread,
        forced_spread_spot=spot_costs.forced_spread,
    )


def wallet_rate(venue: Venue, book: Rulebook, date: dt.date) -> float:
    """What a venue pays a year on quote in a perpetual's wallet, where it is not the account's."""
    at_home, coins = venue.name == book.account.name, venue.contract == "inverse"
    return 0.0 if at_home or coins else venue.value("wallet", "annual", date=date)


class _Costs(NamedTuple):
    """Rates of one leg: of an order that may wait in the book, and of a forced one."""

    fee: float
    half_spread: float
    forced_fee: float
    forced_spread: float


def _costs(
    venue: Venue, config: EnvConfig, leg: str, own: float | None, crossing: float, date: dt.date
) -> _Costs:
    """Of the share that waits in the book `maker_fill` is filled, for the maker fee and no
    half-spread. The rest crosses the spread later, at a price that has run away by `maker_missed`.
    A rebate is no income: bars do not show who had the place in the queue that earns it.
    """
    maker, taker = (
        venue.value(_FEES[config.fee_tier], f"{leg}_{kind}", date=date)
        for kind in ("maker", "taker")
    )
    filled = config.maker_share * config.maker_fill
    missed = config.maker_share * (1.0 - config.maker_fill) * 1e-4 * config.maker_missed
    fee = own if own is not None else max(blended_rate(maker, taker, filled), 0.0)
    half_spread = 1e-4 * (1.0 - filled) * crossing + missed
    return _Costs(fee, half_spread, own if own is not None else taker, 1e-4 * crossing)


def changes(book: Rulebook, name: str) -> set[dt.date]:
    """The dates from which a number of an asset differs from the one before."""
    places = (book.perp(name), book.spot(name))
    return {date for venue, symbol in places for date in venue.changes(symbol)}


def warn_unsourced(book: Rulebook, name: str, config: EnvConfig, date: dt.date) -> None:
    """Warn of the numbers in use that no exchange document backs."""
    keys = _used_keys(config)
    (venue, symbol), (market, pair) = book.perp(name), book.spot(name)
    legs = [(venue, symbol, False), (market, pair, True)]
    if market is venue and pair == symbol:
        venue.warn_unsourced(symbol, _of_account(keys, venue is book.account), date)
        legs = []
    for one, called, spot in legs:
        used = [
            key
            for key in one.unsourced(called, date)
            if key in keys or key.split(".")[0] in keys
            if any(part in key for part in _OF_SPOT) == spot
        ]
        one.warn_unsourced(called, _of_account(used, one is book.account), date)
    book.account.warn_unsourced(symbol, [key for key in keys if key == _QUOTE], date)


def _of_account(keys: list[str], own: bool) -> list[str]:
    """The keys that count for a venue: borrowed quote is a matter of the account's."""
    return [key for key in keys if own or key != _QUOTE]


def _used_keys(config: EnvConfig) -> list[str]:
    """The keys of a venue file that the environment reads and the config does not override."""
    fees = _FEES[config.fee_tier]
    given = {
        f"{fees}.perp_taker": config.perp_fee,
        f"{fees}.perp_maker": config.perp_fee,
        f"{fees}.spot_taker": config.spot_fee,
        f"{fees}.spot_maker": config.spot_fee,
        "borrow.quote_annual": config.quote_borrow_rate,
        "borrow.base_annual": config.base_borrow_rate,
    }
    portfolio = ["collateral"] if config.margin_mode == "portfolio" else []
    return [
        "liquidation",
        "execution",
        "tiers",
        *portfolio,
        *(key for key, value in given.items() if value is None),
    ]


def check_venues(market: Market, config: EnvConfig, book: Rulebook) -> None:
    """Raise `ConfigError` where one account cannot hold the assets of a path: portfolio margin over
    several venues, or inverse contracts where money travels or a venue fails.
    """
    for path in dict.fromkeys(market.symbols):
        names = [contract_of(name) for name in path]
        perps = {name: book.perp(name)[0] for name in names}
        inverse = [name for name, venue in perps.items() if venue.contract == "inverse"]
        portfolio = config.margin_mode == "portfolio"
        away = [name for name, venue in perps.items() if venue.name != book.account.name]
        coins_away = [name for name in inverse if name in away]
        if config.transfer_delay is not None and away and (portfolio or coins_away):
            raise ConfigError(
                f"transfer_delay = {config.transfer_delay!r} is for isolated and cross wallets of"
                f" linear contracts, and {(coins_away or away)[0]} has another; use None"
            )
        if market.has_failures and (portfolio or inverse):
            raise ConfigError(
                "a venue of this market fails, which is told of isolated and cross wallets of"
                f" linear contracts; {(inverse or names)[0]} has another: use 'isolated' or 'cross'"
                " and linear contracts"
            )
        used = {venue.name for venue in perps.values()} | {
            book.spot(name)[0].name for name in names
        }
        if portfolio and len(used) > 1:
            raise ConfigError(
                f"margin_mode = {config.margin_mode!r} is one wallet of one venue, and"
                f" {'+'.join(path)} trades on several ({', '.join(sorted(used))}); use 'cross' or"
                " 'isolated'"
            )


def contract_kind(rules: Sequence[t.AssetRules]) -> int:
    """LINEAR or INVERSE where all assets are, else MIXED."""
    kinds = {rule.inverse for rule in rules}
    if len(kinds) > 1:
        return t.MIXED
    return t.INVERSE if 1.0 in kinds else t.LINEAR
