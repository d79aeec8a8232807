"""Perfect foresight: equal to trying everything, where everything can be tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, synthetic_market
from fundenv.optima.bound import carry_bound
from fundenv.optima.foresight import Foresight
from tests.laws.play import FRICTIONLESS
from tests.optima.plans import FEES, bumpy_tape, every_plan, grow, played

ORACLE = str(Path(__file__).parents[1] / "laws" / "tiered.toml")


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
