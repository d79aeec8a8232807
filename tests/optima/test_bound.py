"""Nobody earns more than the bound."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from fundenv.batch.cpu import Batch
from fundenv.market import Market, between, load_market, synthetic_market
from fundenv.market.layout import HALTED
from fundenv.optima.bound import carry_bound
from tests.laws.play import FRICTIONLESS
from tests.markets import wild_market
from tests.optima.plans import FEES, bumpy_tape, every_plan, grow, played


@pytest.mark.parametrize("seed", range(12))
def test_no_plan_beats_the_bound_when_prices_move(seed: int) -> None:
    market = bumpy_tape(seed, price_sd=0.03)
    growth = grow(market, every_plan(6), decision_interval="2h")
    batch = Batch(1, market=market, **(FRICTIONLESS | FEES))
    batch.reset(0)
    assert growth.max() <= carry_bound(batch, leverage=4.0)[0]


def test_the_bound_is_near_where_nothing_moves_but_the_basis() -> None:
    market = bumpy_tape(7, bars=1, decisions=6)
    batch = Batch(1, market=market, **(FRICTIONLESS | FEES))
    batch.reset(0)
    best = grow(market, every_plan(6)).max()
    # a position may grow to 1 of equity by drift, from 4/5
    assert best < carry_bound(batch, leverage=4.0)[0] < 1.4 * best


def random_walks(
    market: Market, leverage: float, runs: int, **settings: Any
) -> NDArray[np.float64]:
    """Growth (runs, P) of accounts that hold most of the time and else draw a carry and a leverage,
    delta-neutral.
    """
    rng = np.random.default_rng(0)
    paths = np.arange(market.n_paths).repeat(runs)
    batch = Batch(
        len(paths), market=market, actions="target", random_start=False, episode=None, **settings
    )
    batch.reset(0, paths=paths, starts=0)
    growth, running = np.zeros(len(paths)), np.ones(len(paths), dtype=bool)
    while running.any():
        n = len(paths)
        hold, carry = (
            rng.random(n) < rng.choice([0.3, 0.9, 0.99], n),
            np.clip(2.5 * rng.standard_normal(n), -1, 1),
        )
        batch.step(np.stack([hold, carry, np.ones(n), rng.uniform(1, leverage, n)], axis=1))
        growth += np.where(running, batch.reward / 1e3, 0.0)
        running &= ~(batch.terminated | batch.truncated)
    return growth.reshape(market.n_paths, runs).T


def bounds(
    market: Market, leverage: float, reverse: bool = True, **settings: Any
) -> NDArray[np.float64]:
    batch = Batch(1, market=market, actions="target", **settings)
    batch.reset(0)
    return np.array(
        [
            carry_bound(batch, path, leverage=leverage, reverse=reverse)[0]
            for path in range(market.n_paths)
        ]
    )


def above_bound(market: Market, leverage: float, **settings: Any) -> list[Any]:
    """The delta-neutral agents, the clairvoyants among them, that exceed the bound on some path."""
    limit = bounds(market, leverage, **settings)
    above: list[Any] = (
        ["random"]
        if (random_walks(market, leverage, 40, **settings).max(axis=0) > limit).any()
        else []
    )
    players = [
        ("flat", {}),
        ("carry", {"leverage": leverage}),
        ("zscore", {"leverage": leverage, "two_sided": True}),
    ]
    players += [
        ("clairvoyant", {"leverages": (leverage,)}),
        ("clairvoyant", {"carries": (-1.0, -0.5, 0.0, 0.5, 1.0), "leverages": (1.0, leverage)}),
    ]
    return above + [
        (name, params)
        for name, params in players
        if (played(agents.make(name, **params), market, **settings) > limit).any()
    ]


@pytest.mark.parametrize(
    "settings",
    [{}, {"keeper_interval": None}, {"fee_scale": 0.0, "cost_scale": 0.0}, {"cash_rate": -0.02}],
    ids=str,
)
@pytest.mark.parametrize("leverage", [3.0, 10.0])
def test_no_agent_beats_the_bound(leverage: float, settings: dict[str, Any]) -> None:
    market = synthetic_market("btc", years=0.5, paths=3, seed=8)
    assert above_bound(market, leverage, **settings) == []


@pytest.mark.parametrize("leverage", [1.0, 3.0, 10.0])
def test_nobody_beats_the_bound_in_wild_markets_where_most_are_liquidated(leverage: float) -> None:
    market = wild_market(0, paths=40)
    bars = market.bars.copy()
    bars[:, :, HALTED] = 0.0
    market = replace(market, bars=bars)
    settings = FRICTIONLESS | FEES | {"keeper_interval": "1h"}
    settings = {
        key: value
        for key, value in settings.items()
        if key not in ("actions", "random_start", "episode", "leverage")
    }
    assert (
        random_walks(market, leverage, 200, **settings).max(axis=0)
        <= bounds(market, leverage, **settings)
    ).all()


@pytest.mark.skipif(
    "FUNDENV_DATA" not in os.environ, reason="FUNDENV_DATA names no folder of real data"
)
def test_no_agent_beats_the_bound_on_history() -> None:
    whole = load_market(os.environ["FUNDENV_DATA"], ["BTCUSDT", "ADAUSDT"])
    for start, end in (("2021-01-01", "2021-07-01"), ("2024-07-01", "2025-01-01")):
        large = {"initial_equity": 1e7, "max_participation": 0.0}  # so that lots leave nothing open
        assert above_bound(between(whole, start, end), 3.0, **large) == []


def test_what_the_bound_does_not_cover_is_refused() -> None:
    for settings in (
        {"margin_mode": "portfolio"},
        {"after_liquidation": "naked"},
        {"adl_sigma": 2.0},
    ):
        batch = Batch(1, **settings)
        with pytest.raises(ValueError, match=r"naked|portfolio|adl_sigma"):
            carry_bound(batch, leverage=3.0)
    with pytest.raises(agents.AgentError, match="portfolio"):
        agents.make("clairvoyant").bind(Batch(1, actions="target", margin_mode="portfolio"))
