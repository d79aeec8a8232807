"""Domain randomisation of the training envs: each keeps its own cash rate, fees and level of
funding for the whole training; and the potential under these terms.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.training.hindsight_potential import Hindsight, Terms
from fundenv.config import EnvConfig, hours
from fundenv.market import Market
from fundenv.market.files.frames import contract_of
from fundenv.venues import Rulebook, is_placed, load_venue

LEVERAGE = 3.0  # of the schedule whose value is the potential
_PER_YEAR = 1e-4 * 3 * 365  # bp per 8 h to an annual rate


class EnvTerms(NamedTuple):
    """Terms of every env (n,); the names are those of `fundenv.dynamics.types.Params`."""

    cash_rate: NDArray[np.float64]  # annual
    fee_scale: NDArray[np.float64]
    funding_scale: NDArray[np.float64]
    funding_shift: NDArray[np.float64]  # annual


def draw_terms(params: Any, config: EnvConfig, seed: int) -> EnvTerms:
    """A Latin hypercube over the ranges of `params`: each term is spread evenly over the envs, and
    paired at random with the others.

    The terms of an env do not change, so that the potential is solved once. The market path is
    drawn for each episode.
    """
    n = params.n_envs
    rng = np.random.default_rng([seed, 0x7E])

    def spread() -> NDArray[np.float64]:
        return rng.permutation((np.arange(n) + 0.5) / n)

    low, high = min(params.cash_low, config.cash_rate), max(params.cash_high, config.cash_rate)
    cash_rate = low + (high - low) * spread()
    fee_scale = config.fee_scale * params.fee_low * (params.fee_high / params.fee_low) ** spread()
    scale = params.funding_low * (params.funding_high / params.funding_low) ** spread()
    shift = params.funding_shift * _PER_YEAR * (2 * spread() - 1)
    history = spread() > params.funding_share
    return EnvTerms(
        cash_rate,
        fee_scale,
        config.funding_scale * np.where(history, 1.0, scale),
        config.funding_shift + np.where(history, 0.0, shift),
    )


def draw_borrowing(params: Any, config: EnvConfig, seed: int) -> dict[str, NDArray[np.float64]]:
    """Interest on quote and pools of quote of every env (n,), spread evenly over the ranges of
    `params`.
    """
    p, rng = params, np.random.default_rng([seed, 0xB0])
    given = config.quote_borrow_rate
    base = given
    if base is None:
        base = float(load_venue(config.venue).value("borrow", "quote_annual"))

    def spread() -> NDArray[np.float64]:
        return rng.permutation((np.arange(p.n_envs) + 0.5) / p.n_envs)

    pools = config.initial_equity * p.supply_low * (p.supply_high / p.supply_low) ** spread()
    scarce = spread() < p.scarce_share
    return {
        "quote_borrow_rate": base * (p.borrow_low + (p.borrow_high - p.borrow_low) * spread()),
        "quote_supply": np.where(scarce, pools, config.quote_supply),
    }


def priced(market: Market, config: EnvConfig, book: Rulebook, terms: EnvTerms) -> Terms:
    """The costs of a carry under `terms`, at the mean taker fees of the venues and the mean
    half-spread of the symbols.
    """
    fees = "fees_high" if config.fee_tier == "high" else "fees"
    names = sorted({name for path in market.symbols for name in path})
    places = {
        name: (book.perp(own), book.spot(own))
        for name in names
        for own in [contract_of(name) if is_placed(name) else name]
    }
    fee = sum(
        own
        if own is not None
        else float(np.mean(sorted({places[n][k][0].value(fees, f"{leg}_taker") for n in names})))
        for k, (leg, own) in enumerate((("perp", config.perp_fee), ("spot", config.spot_fee)))
    )
    spread = 1e-4 * np.mean(
        [
            sum(
                venue.value("execution", f"half_spread_{leg}_bp", symbol)
                for leg, (venue, symbol) in zip(("perp", "spot"), places[name], strict=True)
            )
            for name in names
        ]
    )
    return Terms(
        hurdle=terms.cash_rate
        * (1 + LEVERAGE)
        / LEVERAGE
        * hours(config.decision_interval, "decision_interval")
        / 8760,
        cost=terms.fee_scale * fee + config.cost_scale * spread,
        scale=terms.funding_scale,
        shift=terms.funding_shift,
    )


def hindsight(
    market: Market,
    config: EnvConfig,
    book: Rulebook,
    terms: EnvTerms,
    gamma: float,
    *,
    of: Any = None,
) -> Hindsight:
    """The potential for envs under `terms`; `of` as for `Hindsight`."""
    bars = round(hours(config.decision_interval, "decision_interval") / market.bar_hours)
    kinds, kind = np.unique(np.stack(terms), axis=1, return_inverse=True)
    prices = priced(market, config, book, EnvTerms(*kinds))
    return Hindsight(
        market, bars=bars, gamma=gamma, terms=prices, kind=kind, leverage=LEVERAGE, of=of
    )
