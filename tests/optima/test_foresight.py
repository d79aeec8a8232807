"""Perfect foresight: equal to trying everything, where everything can be tried, and never beaten by
anybody.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from agents import Agent
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, between, load_market, synthetic_market
from fundenv.market.layout import HALTED
from fundenv.optima.bound import carry_bound
from fundenv.optima.foresight import Foresight
from tests.laws.play import FRICTIONLESS
from tests.markets import bar, tape, wild_market

ORACLE = str(Path(__file__).parents[1] / "laws" / "tiered.toml")
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


def foresee(market: Market, carries: tuple[float, ...], **settings: Any) -> Foresight:
    batch = Batch(1, market=market, **(FRICTIONLESS | FEES | settings))
    batch.reset(0, paths=0, starts=0)
    foresight = Foresight(batch, carries, (batch.config.leverage,))
    foresight.update()
    return foresight


@pytest.mark.parametrize("seed", range(12))
def test_the_plan_is_the_best_of_all_plans_and_worth_what_it_says(seed: int) -> None:
    market, settings = bumpy_tape(seed), {"decision_interval": "2h"}
    plans = every_plan(6)
    growth = grow(market, plans, **settings)
    best = growth.argmax()
    value = foresee(market, (-1.0, 0.0, 1.0), **settings).value([[0.0]])[0, 0]
    assert abs(value - growth[best]) < 0.01 * growth[best]  # of second order in a move of the basis
    assert np.abs(plans[best]).max() == 1.0  # there was something to gain
    agent = agents.make("clairvoyant", carries=(-1.0, 0.0, 1.0), leverages=(4.0,))
    assert (
        abs(played(agent, market, **(FRICTIONLESS | FEES | settings))[0] - growth[best])
        < 1e-4 * growth[best]
    )


@pytest.mark.parametrize("seed", range(12))
def test_no_plan_beats_the_bound_when_prices_move(seed: int) -> None:
    market = bumpy_tape(seed, price_sd=0.03)
    growth = grow(market, every_plan(6), decision_interval="2h")
    batch = Batch(1, market=market, **(FRICTIONLESS | FEES))
    batch.reset(0)
    assert growth.max() <= carry_bound(batch, leverage=4.0)[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"funding_scale": 3.0},
        {"funding_shift": 5.0},
        {"funding_scale": 0.0, "funding_shift": -5.0},
        {"venue": ORACLE},
    ],
    ids=str,
)
def test_plan_and_bound_are_paid_the_funding_of_the_environment(settings: dict[str, Any]) -> None:
    quiet = {"decision_interval": "2h"} | settings
    for seed in range(4):
        market = bumpy_tape(seed)
        growth = grow(market, every_plan(6), **quiet)
        value = foresee(market, (-1.0, 0.0, 1.0), **quiet).value([[0.0]])[0, 0]
        assert abs(value - growth.max()) < 0.01 * growth.max() + 1e-6
        batch = Batch(1, market=market, **(FRICTIONLESS | FEES | settings))
        batch.reset(0)
        assert growth.max() <= carry_bound(batch, leverage=4.0)[0]


def test_the_bound_is_near_where_nothing_moves_but_the_basis() -> None:
    market = bumpy_tape(7, bars=1, decisions=6)
    batch = Batch(1, market=market, **(FRICTIONLESS | FEES))
    batch.reset(0)
    best = grow(market, every_plan(6)).max()
    # a position may grow to 1 of equity by drift, from 4/5
    assert best < carry_bound(batch, leverage=4.0)[0] < 1.4 * best


def test_values_between_two_weights_lie_on_the_line_and_the_end_is_worth_nothing() -> None:
    foresight = foresee(bumpy_tape(3), (0.0, 1.0), decision_interval="2h")
    low, middle, high = (foresight.value([[w]])[0, 0] for w in (0.0, 0.2, 0.8))
    assert middle == pytest.approx(0.75 * low + 0.25 * high)
    foresight.batch.store.episode[:, t.DECISION] = 6
    assert foresight.value([[0.8]])[0, 0] == 0.0


def test_each_environment_plans_with_its_own_rates_fees_and_episode() -> None:
    market = synthetic_market("btc", years=0.3, paths=2, seed=4)
    per_env = {"cash_rate": [0.0, 0.02, 0.08], "fee_scale": [0.2, 1.0, 2.0]}
    batch = Batch(
        3, market=market, actions="target", episode="20D", autoreset="same_step", per_env=per_env
    )
    foresight = Foresight(batch, (0.0, 1.0), (2.0, 3.0))
    batch.reset(5)
    for step in range(70):  # into the second episode
        foresight.update()
        value = foresight.value(np.zeros((3, 1)))
        for i in range(3):
            alone = Batch(
                1,
                market=market,
                actions="target",
                episode="20D",
                cash_rate=per_env["cash_rate"][i],
                fee_scale=per_env["fee_scale"][i],
            )
            episode = batch.store.episode[i]
            begun = episode[t.ROW] - 8 * episode[t.DECISION] - market.paths[episode[t.PATH], 0]
            alone.reset(0, paths=int(episode[t.PATH]), starts=int(begun))
            alone.store.episode[0, t.DECISION], alone.store.episode[0, t.ROW] = (
                episode[t.DECISION],
                episode[t.ROW],
            )
            lone = Foresight(alone, (0.0, 1.0), (2.0, 3.0))
            lone.update()
            if step % 23 == 0:
                assert value[i, 0] == pytest.approx(lone.value([[0.0]])[0, 0], abs=1e-15)
        batch.step(np.tile([0.0, 1.0, 1.0, 3.0], (3, 1)))


def test_two_assets_are_planned_side_by_side_on_half_of_the_equity_each() -> None:
    one = bumpy_tape(1, decisions=8)
    two = replace(
        one,
        bars=np.repeat(one.bars, 2, axis=1),
        features=np.repeat(one.features, 2, axis=1),
        symbols=(("PLAIN", "OTHER"),),
    )
    settings = FRICTIONLESS | FEES | {"decision_interval": "2h"}
    single, double = (
        played(agents.make("clairvoyant"), market, **settings)[0] for market in (one, two)
    )
    assert double == pytest.approx(single, rel=1e-3)
    assert single > 0


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
