"""A liquidation is charged in training beyond the limit on the reward of a step, on both ways to
collect.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from agents.base import observed
from agents.training.hindsight_potential import first_decisions
from fundenv.market import Market, joint, splice, synthetic_market
from fundenv.market.synthetic.shocks import Shock

STEPS = 60
RALLY = Shock(
    "rally", "made up", (0.0,) * 7 + (25.0,) + (0.0,) * 8, {}, {}, (0.0,), 1.0, (0.0,), None, (1.0,)
)


@pytest.fixture(scope="module")
def market() -> Market:
    calm = synthetic_market("btc", years=0.25, paths=2, seed=4)
    return splice(calm, RALLY, at=(first_decisions(calm, 8) - calm.paths[:, 0] + 8 * 150).tolist())


def played(name: str, market: Market, charge: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """(training rewards, number of legs that were liquidated in the step), (STEPS, n) each, of
    accounts that order full carry at leverage 5 all along.
    """
    agent: Any = agents.make(
        name,
        n_envs=16,
        imitate=0,
        counterfactual_rounds=0,
        leverage_grid=[5.0],
        episode_days=7,
        liquidation_charge=charge,
        start_invested=1.0,
    )
    env = agent.training_env(market, {}, 0)
    liquidated = observed(env.batch.observation_table, "liquidated")
    env.seed(0)
    env.reset()
    rewards, legs = [], []
    for _ in range(STEPS):
        obs, reward, _, infos = env.step(np.tile([2, 0], (16, market.n_assets)))
        ends = np.array([info.get("terminal_observation", obs[i]) for i, info in enumerate(infos)])
        rewards.append(reward)
        legs.append((liquidated.of(ends) > 0).sum(axis=1))
    env.close()
    return np.array(rewards), np.array(legs)


@pytest.mark.parametrize("assets", [1, 2])
@pytest.mark.parametrize("name", ["ppo", "device_ppo"])
def test_every_leg_that_is_liquidated_is_charged_its_share_beyond_the_limit(
    market: Market, name: str, assets: int
) -> None:
    walked = market if assets == 1 else joint(market, [names[0] for names in market.symbols])
    free, liquidated = played(name, walked, 0.0)
    charged, again = played(name, walked, 0.1)
    np.testing.assert_array_equal(liquidated, again)
    assert liquidated.sum() >= 2
    np.testing.assert_allclose(free - charged, 0.5 * 1000 * 0.1 / assets * liquidated, atol=1e-4)
    assert (charged < -10.5).any()  # below the limit
