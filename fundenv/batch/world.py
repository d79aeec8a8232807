"""From a market, a config and a venue to the arrays that the kernel reads."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from fundenv.batch.action_sizes import action_width
from fundenv.batch.asset_rules import (
    asset_rules,
    changes,
    check_venues,
    contract_kind,
    venue_numbers,
    warn_unsourced,
)
from fundenv.batch.params import remembers, span
from fundenv.batch.randomize import range_table
from fundenv.config import ConfigError, EnvConfig, code, hours
from fundenv.dynamics import types as t
from fundenv.dynamics.more_columns import MORE_COLUMNS
from fundenv.market import Market, load_market, select, synthetic_market
from fundenv.market.files.frames import GENERATED, contract_of
from fundenv.market.files.schema import symbol_names
from fundenv.market.table import funding_levels
from fundenv.settings.forms import DIALS, KEEPER
from fundenv.venues import Bracket, Rulebook

_NO_FLOOR = math.inf


def resolve_market(
    market: Market | str | Path | None,
    symbols: Sequence[str] | None,
    venue: str,
    venues: Sequence[str] = (),
) -> Market:
    """The market itself, the market in a folder of tidy files, or the embedded synthetic one
    (None).
    """
    if market is None:
        market = embedded_market()
    elif not isinstance(market, Market):
        return load_market(market, symbols, venue=venue, venues=venues)
    if symbols is None:
        return market
    return select(market, symbol_names(symbols))


@cache
def embedded_market() -> Market:
    """The market behind `market=None`: three seeded synthetic years that look like BTC."""
    return synthetic_market("btc", years=3, paths=1, seed=0)


def build_world(market: Market, config: EnvConfig, book: Rulebook, autoreset: int) -> t.World:
    """Arrays of everything a step only reads; raises `ConfigError` where config, market and venues
    do not fit.
    """
    if config.max_participation > 0 and not market.has_volume:
        raise ConfigError(
            f"max_participation = {config.max_participation:g} needs traded volumes, which this"
            " market lacks; set max_participation=0"
        )
    names = sorted({contract_of(name) for path in market.symbols for name in path})
    check_venues(market, config, book)
    dates = _dates(market, config, book, names)
    # a made-up one has no exchange
    for name in sorted(
        {name for path in market.symbols for name in path if not name.startswith(GENERATED)}
    ):
        for date in dates:
            warn_unsourced(book, name, config, date)
    tables = [_brackets(book, config, name, date) for date in dates for name in names]
    numbers = venue_numbers(book, names)
    rules = [asset_rules(book, config, name, date, numbers) for date in dates for name in names]
    tiers = np.full((len(tables), max(map(len, tables)), 4), _NO_FLOOR)
    for s, table in enumerate(tables):
        tiers[s, : len(table)] = [(b.floor, b.rate, b.amount, b.max_leverage) for b in table]
        tiers[s, len(table) :, 1:] = table[-1].rate, table[-1].amount, table[-1].max_leverage
    lines = np.array(
        [[names.index(contract_of(name)) for name in path] for path in market.symbols],
        dtype=np.int64,
    )
    codes = _codes(market, config, rules, autoreset)
    contract = contract_kind(rules)
    if contract == t.LINEAR and (
        codes[t.TRANSFER_BARS] or codes[t.FAILURES] or _has_venue_wallets(codes, rules)
    ):
        contract = t.PLACED
    grids = [config.carry_grid, config.hedge_grid, config.leverage_grid, config.keeper_grid]
    return t.World(
        bars=market.bars,
        features=market.features,
        paths=market.paths,
        starts=_starts(market, config),
        eras=np.array(
            [-(-pd.Timestamp(date).value // round(market.bar_hours * 3600e9)) for date in dates],
            dtype=np.int64,
        ),
        symbols=np.concatenate([lines + era * len(names) for era in range(len(dates))]),
        rules=np.array(rules),
        tiers=tiers,
        codes=codes,
        grids=np.array([list(grid) + [0.0] * (max(map(len, grids)) - len(grid)) for grid in grids]),
        scales=np.array([feature.scale for feature in market.table]),
        levels=funding_levels(market.table),
        ranges=range_table(config),
        contract=contract,
    )


def _has_venue_wallets(codes: t.Int64, rules: Sequence[t.AssetRules]) -> bool:
    """Whether wallets are apart by venue, or earn interest of another venue than the account's."""
    several = len({rule.perp_venue for rule in rules}) > 1
    shared = codes[t.MARGIN_MODE] == t.MARGIN_CROSS
    return bool((shared and several) or any(rule.wallet_rate for rule in rules))


def bars_of(duration: str, name: str, bar_hours: float) -> int:
    """A duration in bars; raises `ConfigError` where it is not a whole number of them."""
    bars = hours(duration, name) / bar_hours
    if abs(bars - round(bars)) > 1e-9 or round(bars) < 1:
        raise ConfigError(
            f"{name} = {duration!r} is not a multiple of the market's bar of {bar_hours:g} h;"
            " choose a multiple"
        )
    return round(bars)


def _dates(market: Market, config: EnvConfig, book: Rulebook, names: list[str]) -> list[dt.date]:
    """First day of each set of rules that the market's span needs, or the one date of the
    config.
    """
    first, last = span(market, config)
    return [
        first,
        *sorted({date for name in names for date in changes(book, name) if first < date <= last}),
    ]


def _brackets(book: Rulebook, config: EnvConfig, name: str, date: dt.date) -> tuple[Bracket, ...]:
    venue, symbol = book.perp(name)
    table = venue.brackets(symbol, date)
    if config.max_leverage > table[0].max_leverage:
        raise ConfigError(
            f"max_leverage = {config.max_leverage:g} exceeds {table[0].max_leverage:g}, the limit"
            f" of {symbol} on {venue.name} from {date}; lower it"
        )
    return table


def _codes(
    market: Market, config: EnvConfig, rules: Sequence[t.AssetRules], autoreset: int
) -> t.Int64:
    names = [feature.name for feature in market.table]
    step = bars_of(config.decision_interval, "decision_interval", market.bar_hours)
    codes = np.zeros(t.N_CODES, dtype=np.int64)
    codes[t.DECISION_BARS] = step
    codes[t.ACTION_MODE] = code("actions", config.actions)
    codes[t.MARGIN_MODE] = code("margin_mode", config.margin_mode)
    codes[t.CAPITAL] = code("capital", config.capital)
    codes[t.KEEPER_WATCHES] = code("keeper_watches", config.keeper_watches)
    codes[t.AFTER_LIQUIDATION] = code("after_liquidation", config.after_liquidation)
    codes[t.REWARD] = code("reward", config.reward)
    codes[t.AUTORESET] = autoreset
    if config.keeper_interval is not None:
        codes[t.KEEPER_BARS] = bars_of(config.keeper_interval, "keeper_interval", market.bar_hours)
    codes[t.FREE_DIALS] = sum(1 << (*DIALS, KEEPER).index(dial) for dial in config.dials)
    codes[t.LISTINGS], codes[t.FAILURES] = market.has_listings, market.has_failures
    codes[t.REMEMBERS] = remembers(config)
    codes[t.OBSERVED] = sum(c.name in config.observe and 1 << k for k, c in enumerate(MORE_COLUMNS))
    codes[t.RANDOM_START] = config.random_start
    if config.episode is not None:
        codes[t.EPISODE_STEPS] = max(
            bars_of(config.episode, "episode", market.bar_hours) // step, 1
        )
    for column, name in (
        (t.BASIS_FEATURE, "basis_deviation"),
        (t.FUNDING_FEATURE, "funding_ewma_9"),
    ):
        if name not in names:
            raise ConfigError(
                f"the market has no feature {name!r}, which the environment reads; build it with"
                " fundenv.market"
            )
        codes[column] = names.index(name)
    codes[t.OPEN_PATHS] = market.n_paths
    codes[t.ENTRY_MARGIN] = _concerned([rule.entry_margin for rule in rules])
    if config.transfer_delay is not None and any(rule.perp_venue for rule in rules):
        codes[t.TRANSFER_BARS] = bars_of(config.transfer_delay, "transfer_delay", market.bar_hours)
    codes[t.SETTLE_ON_SPOT] = _concerned([rule.settles_on_spot for rule in rules])
    codes[t.ACTION_WIDTH] = action_width(config)
    for dial, grid in ((0, config.carry_grid), (1, config.hedge_grid), (2, config.leverage_grid)):
        codes[t.GRID_CARRY + dial] = len(grid)
    codes[t.GRID_KEEPER] = len(config.keeper_grid)
    return codes


def _concerned(flags: Sequence[float]) -> int:
    """Whether a rule concerns no asset, all or some."""
    if not any(flags):
        return t.OF_NONE
    return t.OF_ALL if all(flags) else t.OF_SOME


def _starts(market: Market, config: EnvConfig) -> t.Int64:
    """Per path: first row whose close falls on the decision grid (multiples of the interval since
    1970), how many follow, bar number of the first open.
    """
    bar_ns = round(market.bar_hours * 3600e9)
    step = bars_of(config.decision_interval, "decision_interval", market.bar_hours)
    starts = np.zeros((market.n_paths, 3), dtype=np.int64)
    for path, (first, last) in enumerate(market.paths):
        close = market.close_ns[first] // bar_ns
        lead = int(-close % step)
        count = (int(last - first) - 1 - lead) // step
        if count < 1:
            span = f"{'+'.join(market.symbols[path])}, {last - first} bars"
            raise ConfigError(
                f"path {path} ({span}) is shorter than one decision_interval of"
                f" {config.decision_interval}; use a longer span"
            )
        starts[path] = first + lead, count, close - 1
    return starts


def load_rules(config: EnvConfig) -> Rulebook:
    """The venues that a config names."""
    return Rulebook.read(config.venue, config.venues)
