"""From a config and its venue to the numbers of each environment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd

from fundenv.batch.gate import read_per_env, shown
from fundenv.batch.randomize import DRAWN, field_limits
from fundenv.config import ConfigError, EnvConfig, hours
from fundenv.dynamics import types as t
from fundenv.market import Market
from fundenv.market.files.frames import contract_of
from fundenv.settings import nearest
from fundenv.settings.forms import KEEPER
from fundenv.venues import Rulebook, legs_of


def remembers(config: EnvConfig) -> bool:
    """Whether impact leaves a displacement behind, or has another exponent than 1/2; both may be
    drawn.
    """
    drawn = {name for name, *_ in config.randomize} & {"impact_lasting", "impact_exponent"}
    return config.impact_lasting > 0 or config.impact_exponent != 0.5 or bool(drawn)


def span(market: Market, config: EnvConfig) -> tuple[dt.date, dt.date]:
    """First and last day whose rules hold in the env: those of the market, or twice the one date
    of the config.
    """
    if config.venue_date is not None:
        return (dt.date.fromisoformat(config.venue_date),) * 2
    first, last = (
        pd.Timestamp(int(ns), tz="UTC").date()
        for ns in (market.close_ns.min(), market.close_ns.max())
    )
    return first, last


CRASH_SIGMA = 2.5  # of the setting `crash_sigma` where it is none and crashes count


def crash_sigma(config: EnvConfig, market: Market, book: Rulebook) -> float:
    """The range of mark above which a bar is a crash, in daily volatilities; 0: none is."""
    if config.crash_sigma is not None:
        return config.crash_sigma
    names = {contract_of(name) for path in market.symbols for name in path}
    elsewhere = any(
        book.venue(place).name != book.account.name for name in names for place in legs_of(name)
    )
    return CRASH_SIGMA if elsewhere or market.shocked else 0.0


def build_params(
    config: EnvConfig, book: Rulebook, market: Market, n: int, per_env: Mapping[str, object] | None
) -> t.Float64:
    """(1, fields of Params), or (n, ...) where `per_env` gives one value per environment for some
    of them.
    """
    given = {
        "quote_borrow_rate": (
            config.quote_borrow_rate
            if config.quote_borrow_rate is not None
            else book.account.steady("borrow", "quote_annual", *span(market, config))
        ),
        "basis_reversion": (
            1.0 - 0.5 ** (market.bar_hours / hours(config.basis_half_life, "basis_half_life"))
        ),
        "allow_short_spot": float(config.allow_short_spot),
        "crash_sigma": crash_sigma(config, market, book),
        "borrow_slope": config.borrow_used / config.borrow_norm,
        "impact_keep": (
            1.0
            if config.impact_half_life is None
            else 0.5 ** (market.bar_hours / hours(config.impact_half_life, "impact_half_life"))
        ),
        "frozen_carry": config.carry,
        "frozen_hedge": config.hedge,
        "frozen_leverage": config.leverage,
        "bar_years": market.bar_hours / 8760.0,
    }
    row = np.array(
        [
            [
                float(given[name] if name in given else getattr(config, name))
                for name in t.Params._fields
            ]
        ]
    )
    drawn = [name for name, *_ in config.randomize]
    if not isinstance(per_env, Mapping | None):
        raise ConfigError(
            f"per_env = {shown(per_env)}: expected a table such as {{'fee_scale': [..]}} with one"
            " value per environment"
        )
    if not per_env and not drawn and KEEPER not in config.dials:
        return row
    rows = np.repeat(row, n, axis=0)
    for name, values in per_env.items() if per_env else ():
        if name in drawn:
            raise ConfigError(f"{name!r} stands in per_env and in randomize; keep one of them")
        if KEEPER in config.dials and name in ("keeper_up", "keeper_down"):
            raise ConfigError(
                f"{name!r} stands in per_env and dials has 'keeper'; drop one of them"
            )
        if name not in DRAWN:
            raise ConfigError(f"per_env has no setting {name!r}; {nearest(str(name), DRAWN)}")
        if name in ("impact_lasting", "impact_exponent") and not remembers(config):
            raise ConfigError(
                f"per_env has {name!r}, which only an impact with a memory reads; set"
                " impact_lasting above 0 in the config too"
            )
        column = read_per_env(name, values, n, *field_limits(name, config))
        rows[:, t.Params._fields.index(name)] = column
    return rows
