"""Plans played in the environment."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents import Agent
from fundenv.batch.cpu import Batch
from fundenv.market import Market
from tests.laws.play import FRICTIONLESS
from tests.markets import bar, tape

FEES = {
    "perp_fee": 0.0004,
    "spot_fee": 0.0006,
    "cash_rate": 0.5,
    "base_borrow_rate": 0.3,
    "leverage": 4.0,
}


def bumpy_tape(seed: int, price_sd: float = 0.0, decisions: int = 6, bars: int = 2) -> Market:
    """Two bars a decision, rates and a basis that make trading worth its cost now and then; spot
    still or moving.
    """
    rng = np.random.default_rng(seed)
    spot, rows, last = 100.0, [], (100.0, 100.0)
    for k in range(1 + bars * decisions):
        spot *= float(np.exp(price_sd * rng.standard_normal()))
        perp = spot * (1 + 0.0008 * float(rng.standard_normal()))
        gap = float(np.exp(0.0002 * rng.standard_normal()))
        columns = {
            "spot_open": last[0] * gap,
            "spot_close": spot,
            "perp_open": last[1] * gap * 1.0001,
            "perp_close": perp,
            "mark_close": perp,
        }
        columns |= {
            "mark_open": columns["perp_open"],
            "mark_high": max(perp, columns["perp_open"]),
            "mark_low": min(perp, columns["perp_open"]),
        }
        if k % 2 == seed % 2:
            columns |= {
                "settle_rate": 0.003 * float(rng.standard_normal()),
                "settle_price": last[1],
            }
        rows.append(bar(last[0], spot, **columns))
        last = (spot, perp)
    return tape(*rows)


def grow(market: Market, plans: NDArray[np.float64], **settings: Any) -> NDArray[np.float64]:
    """Log growth net of the cash rate, (n,), of accounts that hold the carries plans (n, T) in
    turn; a repeated one is held, not traded.
    """
    batch = Batch(len(plans), market=market, **(FRICTIONLESS | FEES | settings))
    batch.reset(0, paths=0, starts=0)
    growth = np.zeros(len(plans))
    before = np.zeros(len(plans))
    for step in range(plans.shape[1]):
        carry = plans[:, step]
        batch.step(
            np.stack(
                [
                    carry == before,
                    carry,
                    np.ones(len(plans)),
                    np.full(len(plans), batch.config.leverage),
                ],
                axis=1,
            )
        )
        growth, before = growth + batch.reward / 1e3, carry
    assert batch.truncated.all()
    assert not batch.terminated.any()
    return growth


def played(agent: Agent, market: Market, **settings: Any) -> NDArray[np.float64]:
    """Growth net of the cash rate, (P,), of an agent that walks every path."""
    batch = Batch(
        market.n_paths,
        market=market,
        **(settings | agent.env_settings() | {"episode": None, "random_start": False}),
    )
    agent.bind(batch)
    batch.reset(0)
    growth, running = np.zeros(market.n_paths), np.ones(market.n_paths, dtype=bool)
    while running.any():
        batch.step(agent.act(batch.obs))
        growth += np.where(running, batch.reward / 1e3, 0.0)
        running &= ~(batch.terminated | batch.truncated)
    return growth


def every_plan(steps: int) -> NDArray[np.float64]:
    return np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=steps)))
