"""Indexed actions: one number for a decision."""

import gymnasium as gym
import numpy as np
import pytest

import fundenv  # noqa: F401  registers the environment
from fundenv.config import ConfigError
from fundenv.envs.single import FundingHedgeEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import joint, stack, synthetic_market


def test_indexed_actions_choose_rows_of_discrete_ones():
    market = joint(
        stack([synthetic_market(c, years=0.3, seed=k) for k, c in enumerate(("btc", "eth"))]),
        ["SYNTH-BTC-0", "SYNTH-ETH-0"],
    )
    settings = {"market": market, "dials": ("carry", "leverage"), "leverage_grid": (1.0, 4.0)}
    one = FundingHedgeEnv(actions="indexed", **settings)
    many = FundingHedgeEnv(actions="discrete", **settings)
    envs = FundingHedgeVectorEnv(2, actions="indexed", **settings)
    assert isinstance(one.action_space, gym.spaces.Discrete)
    assert one.action_space.n == envs.single_action_space.n == 11**2
    rows = envs.batch.decisions
    assert rows[0].tolist() == [0, 0, 0, 0]
    assert rows[1].tolist() == [0, 0, 1, 0]  # holds the first asset
    assert rows[-1].tolist() == [5, 1, 5, 1]
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    one.reset(seed=5)
    many.reset(seed=5)
    envs.reset(seed=4)
    for number in (3, 0, 120, 60):
        a, b = one.step(number), many.step(rows[number])
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1] == b[1] == envs.step(np.array([0, number]))[1][1]


@pytest.mark.parametrize("wrong", [6, -1, 1.0, True, None, [0, 1], "1", np.nan], ids=str)
def test_numbers_of_no_decision_are_refused(wrong):
    env = gym.make("fundenv/FundingHedge-Discrete-v0")
    assert env.action_space == gym.spaces.Discrete(6)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected 1 whole number\(s\) within 0 \.\. 5"):
        env.step(wrong)
    env.step(5)


def test_too_many_decisions_are_refused_with_the_remedy():
    with pytest.raises(ConfigError, match="50001 decisions, more than 10000"):
        FundingHedgeEnv(
            actions="indexed", dials=("carry",), carry_grid=np.linspace(-1, 1, 50_000).tolist()
        )
