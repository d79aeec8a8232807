"""The asymmetric critic: what it is told is what happens, the actor sees none of it, and a saved
model acts where nobody knows it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import agents
from agents import AgentError
from agents.training.privileged_critic import AHEAD, COLUMNS, LIMIT
from fundenv.batch.cpu import Batch
from fundenv.market import Market, synthetic_market
from fundenv.market.layout import MARK_CLOSE, SETTLE_PRICE, SETTLE_RATE, SPOT_CLOSE

TINY: dict[str, Any] = {
    "n_envs": 16,
    "n_steps": 16,
    "batch_size": 64,
    "hidden": 8,
    "episode_days": 5,
    "learning_rate": 0.01,
}
TINY |= {"critic": "privileged", "imitate": 512, "counterfactual_rounds": 1}
BARS = 8  # of a decision


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


@pytest.fixture(scope="module")
def trained(market: Market) -> Any:
    agent: Any = agents.make("ppo", **TINY, residual="")
    agent.learn(market, {}, steps=768, seed=0)
    return agent


def profit(market: Market, path: int, row: int, ahead: int, terms: Any, env: int) -> float:
    """Of a carry of one unit held from the close of `row` over `ahead` decisions, bar by bar:
    price, funding settled after the next open, cost of capital.
    """
    bars, last = market.bars[:, 0], int(market.paths[path, 1]) - 1
    total, before = 0.0, -1e9
    first = int(market.paths[path, 0])
    settled = [r for r in range(first, last + 1) if bars[r, SETTLE_PRICE] > 0]
    years = {
        r: min((r - before if k == 0 else r - settled[k - 1]), 8) / 8760
        for k, r in enumerate(settled)
    }
    for k in range(ahead):
        start, end = row + k * BARS, row + (k + 1) * BARS
        if end > last:
            break
        total += (
            bars[end, SPOT_CLOSE] / bars[start, SPOT_CLOSE]
            - bars[end, MARK_CLOSE] / bars[start, MARK_CLOSE]
        )
        total -= terms.cash_rate[env] * 4 / 3 * BARS / 8760
        for r in range(start + 2, min(end + 1, last) + 1):
            if r in years:
                total += (
                    terms.funding_scale[env] * bars[r, SETTLE_RATE]
                    + terms.funding_shift[env] * years[r]
                )
    return float(1e3 * 0.5 * 0.75 * total)


def test_the_critic_is_told_what_happens_up_to_the_last_state_of_an_episode(market: Market) -> None:
    agent: Any = agents.make("ppo", **TINY)
    env = agent.training_env(market, {}, 7)
    width, terms = len(env.batch.observation_table), agent.training_inputs[2]

    def check(columns: NDArray[np.float32], i: int, path: int, row: int) -> None:
        told = [profit(market, path, row, ahead, terms, i) for ahead in AHEAD[:4]]
        np.testing.assert_allclose(columns[1:5], np.clip(told, -LIMIT, LIMIT), rtol=1e-4, atol=1e-4)

    env.seed(7)
    obs, ended = env.reset(), 0
    assert obs.shape[1] == width + COLUMNS
    for step in range(20):
        path, row = env.batch.where
        for i in range(0, env.num_envs, 5):
            check(obs[i, width:], i, int(path[i]), int(row[i]))
        obs, _, dones, infos = env.step(np.full((env.num_envs, 2), 2 if step % 2 else 1))
        for i in np.flatnonzero(dones):
            check(infos[i]["terminal_observation"][width:], i, int(path[i]), int(row[i]) + BARS)
            ended += 1
    assert ended >= env.num_envs


def test_the_first_column_is_by_how_much_hindsight_would_rather_be_invested(market: Market) -> None:
    """Against the potential of an account that is invested in full less that of one that is
    flat.
    """
    agent: Any = agents.make("ppo", **TINY)
    env = agent.training_env(market, {}, 7)
    width, n = len(env.batch.observation_table), env.num_envs
    obs = env.reset()
    path, row = env.batch.where
    on, off = (
        env.potential(path, row, np.full((n, 1), share * env.potential.weight))
        for share in (1.0, 0.0)
    )
    np.testing.assert_allclose(
        obs[:, width], 1e3 * agent.params.reward_scale * (on - off), rtol=1e-4, atol=1e-5
    )
    assert np.ptp(obs[:, width]) > 0


def test_nothing_that_the_critic_knows_reaches_the_actor(trained: Any, market: Market) -> None:
    env = trained.training_env(market, {}, 3)
    env.seed(3)
    obs = env.reset()
    policy, width = trained.model.policy, len(env.batch.observation_table)
    corrupt = obs.copy()
    corrupt[:, width:] = np.random.default_rng(0).normal(size=(len(obs), COLUMNS)) * LIMIT
    inputs = torch.as_tensor(obs, dtype=torch.float32).requires_grad_()
    heads = policy.get_distribution(inputs).distribution
    slope = torch.autograd.grad(sum(head.logits.square().sum() for head in heads), inputs)[0]
    assert (slope[:, width:] == 0).all()
    assert (slope[:, :width] != 0).any()
    with torch.no_grad():
        said = [
            policy.get_distribution(torch.as_tensor(each)).distribution for each in (obs, corrupt)
        ]
        for one, other in zip(*said, strict=True):
            assert torch.equal(one.logits, other.logits)
        values = [policy.predict_values(torch.as_tensor(each)) for each in (obs, corrupt)]
    assert (values[0] != values[1]).all()


def test_a_saved_model_acts_where_nobody_knows_the_future_and_opens_in_plain_sb3(
    trained: Any, market: Market, tmp_path: Path
) -> None:
    from stable_baselines3 import PPO

    trained.save(tmp_path)
    again: Any = agents.load(tmp_path)
    batch = Batch(32, market=market, **again.env_settings() | {"start_invested": 0.5})
    again.bind(batch)
    trained.bind(batch)
    obs = batch.reset(1).copy()
    wide = np.concatenate(
        [obs, np.random.default_rng(1).normal(size=(32, COLUMNS))], axis=1
    ).astype(np.float32)
    actions = again.act(obs)
    np.testing.assert_array_equal(actions, trained.act(obs))
    np.testing.assert_array_equal(
        actions, PPO.load(tmp_path / "model.zip", device="cpu").predict(wide, deterministic=True)[0]
    )
    np.testing.assert_array_equal(again.act(obs, deterministic=False).shape, actions.shape)


def test_a_rule_and_a_privileged_critic_go_together(market: Market) -> None:
    agent: Any = agents.make(
        "ppo",
        **TINY
        | {
            "imitate": 0,
            "counterfactual_rounds": 0,
            "residual": "carry leverage=2.0",
            "critic": "privileged",
            "leverage_grid": [2.0, 3.0],
        },
    )
    agent.learn(market, {}, steps=256, seed=0)
    batch = Batch(4, market=market, **agent.env_settings())
    agent.bind(batch)
    agent.reset()
    wide = agent.seen(batch.reset(0))
    assert wide.shape[1] == len(batch.observation_table) + 5 + COLUMNS
    assert wide[0, len(batch.observation_table) :].tolist() in (
        [0, 0, 1, 1, 0, *[0] * COLUMNS],
        [1, 0, 0, 1, 0, *[0] * COLUMNS],
    )


def test_tensors_have_no_columns_for_it() -> None:
    with pytest.raises(
        AgentError,
        match=(
            "critic = 'privileged' needs columns beside the observations, which tensors do not"
            " have; use ppo"
        ),
    ):
        agents.make("device_ppo", critic="privileged")
