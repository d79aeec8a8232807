"""The warm start: the rule says what it should, and the policy then says the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from agents.training.imitation import HOLD, OFF, ON, Threshold, imitate
from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market


def test_the_rule_enters_holds_and_leaves_at_its_thresholds() -> None:
    """Cash rate 4.5 % at leverage 3: the hurdle is 0.045 x 4/3 a year, 0.548 bp per 8 h."""
    batch = Batch(6, market=synthetic_market(years=0.4, seed=1))
    table = batch.observation_table
    names = [column.name for column in table]
    obs = np.zeros((6, len(table)), np.float32)

    def put(name: str, values: Any) -> None:
        obs[:, names.index(name)] = np.array(values) / table[names.index(name)].scale

    put("cash_rate", 0.045)
    put("funding_ewma_90", [0.70, 0.80, 0.40, 0.30, 0.80, 0.30])
    put("carry", [0, 0, 1, 1, 0, 1])
    put("pending", [0, 0, 0, 0, 1, 0])
    assert Threshold(table, 3.0).gates(obs)[:, 0].tolist() == [HOLD, ON, HOLD, OFF, HOLD, OFF]


def test_a_policy_agrees_with_the_rule_after_imitating_it() -> None:
    agent: Any = agents.make("ppo", n_envs=64, hidden=32, imitate=0)
    agent.steps_wanted = 64
    model = agent.build(agent.training_env(synthetic_market(years=1.0, paths=2, seed=2), {}, 0), 0)
    assert imitate(model, (2.0, 3.0), 3.0, samples=20_000, seed=0) > 0.97


@pytest.mark.parametrize("action", range(4))
def test_counted_actions_mean_hold_off_and_carry_at_each_leverage(action: int) -> None:
    from agents.sb3.discrete_sac import choice_targets, choices

    hold, carry, hedge, leverage = choice_targets(
        np.array([action]), choices(1, (2.0, 3.0)), (2.0, 3.0)
    )[0]
    assert hedge == 1.0
    assert hold == (action == 0)
    assert carry == (action >= 2)
    if action >= 2:
        assert leverage == (2.0, 3.0)[action - 2]


def test_joint_actions_count_every_pair_once_and_too_many_are_refused() -> None:
    from agents.sb3.discrete_sac import choices

    assert sorted(map(tuple, choices(2, (3.0,)))) == [(a, b) for a in range(3) for b in range(3)]
    with pytest.raises(
        agents.AgentError, match="4 choices for each of 8 assets are 65,536 actions; at most 4,096"
    ):
        choices(8, (2.0, 3.0))
