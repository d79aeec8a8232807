"""How much of a clairvoyant's growth above a rule, on one capital, is unforecastable noise.

The clairvoyant holds one coin at one level, or cash, and knows every gain of the half-year; changes
cost fees and half-spreads. The module computes its growth on the accounts of
`agents.training.portfolio_accounts` in three ways: as recorded; with funding at zero, so that only
changes of the basis earn; and with the recorded schedule on the same record shifted in time by
whole days, which keeps the number and the size of the trades and removes the knowledge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.training.portfolio_accounts import Answers, PortfolioAccounts
from agents.training.portfolio_counterfactual import change_costs
from agents.training.randomisation import EnvTerms
from experiments.studies.portfolio_walks import PORTFOLIO
from fundenv.market import Market
from fundenv.venues import load_venue

Array = NDArray[np.float64]
SHIFTS = 20


class Played(NamedTuple):
    """What was earned in each decision above cash, in thousandths of equity."""

    known: Array  # (T,) the clairvoyant
    basis: Array  # (T,) with funding at zero
    shifted: Array  # (SHIFTS, T) its schedule at the wrong time


def schedules(market: Market, levels: tuple[float, ...], cash_rate: float, seed: int) -> Played:
    """The clairvoyant and its shuffled decisions on the first path of `market`."""
    record = accounts(market, levels, cash_rate, 1.0)
    schedule, _ = solve(record)
    unpaid = accounts(market, levels, cash_rate, 0.0)
    rng = np.random.default_rng(seed)
    length = len(schedule)
    by = rng.integers(min(21, length // 3), length - min(21, length // 3) + 1, SHIFTS)
    shifted = [gains(record, np.roll(schedule, 3 * (shift // 3))) for shift in by]
    return Played(gains(record, schedule), gains(unpaid, solve(unpaid)[0]), np.array(shifted))


def accounts(market: Market, levels: tuple[float, ...], cash_rate: float, scale: float) -> Answers:
    """Every coin at every level over the whole path, decisions every 8 h."""
    from agents.sb3.portfolio.params import env_settings

    one = np.ones(1)
    terms = EnvTerms(cash_rate * one, one, scale * one, 0.0 * one)
    rate = float(load_venue("binance").value("borrow", "quote_annual"))
    days = int((market.paths[0, 1] - market.paths[0, 0]) * market.bar_hours / 24) - 1
    maker = PortfolioAccounts(
        market,
        PORTFOLIO | env_settings(),
        terms,
        {"quote_borrow_rate": rate * one, "quote_supply": 0.0 * one},
        choice=(levels, (4.0,)),
        envs=1,
        days=days,
        fewest=market.n_assets,
    )
    return maker.play(np.random.default_rng(0))


def solve(record: Answers) -> tuple[NDArray[np.int64], float]:
    """(state after the orders of each decision (T,), growth in thousandths) of the best schedule
    from cash.
    """
    cost = change_costs(record)[:, 0]  # (T, S, S)
    stays = np.eye(cost.shape[1], dtype=bool)
    cost[:, stays] = 0.0  # staying is no order
    gain, lost = record.gain[:, 0], record.liquidated[:, 0]
    value, choice = np.zeros(gain.shape[1]), np.zeros(gain.shape, np.int64)
    for k in range(len(gain) - 1, -1, -1):
        worth = gain[k] + np.where(lost[k], value[0], value)
        all_ = worth[None, :] - cost[k]
        choice[k], value = all_.argmax(axis=1), all_.max(axis=1)
    state, path = 0, np.zeros(len(gain), np.int64)
    for k in range(len(gain)):
        path[k] = state = int(choice[k, state])
        state = 0 if lost[k, state] else state
    return path, float(value[0])


def gains(record: Answers, schedule: NDArray[np.int64]) -> Array:
    """Growth of a schedule in each decision (T,), in thousandths."""
    cost = change_costs(record)[:, 0]
    state, found = 0, np.zeros(len(schedule))
    for k, then in enumerate(schedule):
        found[k] = record.gain[k, 0, then] - (0.0 if then == state else cost[k, state, then])
        state = 0 if record.liquidated[k, 0, then] else int(then)
    return found
