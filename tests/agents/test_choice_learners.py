"""PPO and SAC on one capital: order and number of coins, masks, files, refused settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents import AgentError
from agents.sb3.portfolio.choices import Choices
from agents.sb3.portfolio.params import OBSERVE
from fundenv.batch.cpu import Batch
from fundenv.envs.portfolio import by_asset
from fundenv.market import Market
from tests.agents.one_capital_learners import (
    CHOICE,
    acted_on_paths,
    bound,
    coins,
    learned,
    resumed,
    without_a_coin,
)
from tests.agents.refused import refused_in_one_line

STEPS = {"choice_ppo": 512, "choice_sac": 240}
LEARNERS = tuple(CHOICE)


@pytest.fixture(scope="module")
def market() -> Market:
    return coins(5)


@pytest.fixture(scope="module")
def trained(market: Market) -> dict[str, Any]:
    return {name: learned(name, CHOICE[name], market, STEPS[name]) for name in LEARNERS}


def walked(agent: Any, batch: Batch, steps: int = 12) -> np.ndarray:
    """Observations after some steps of random choices, so that coins are held."""
    rng = np.random.default_rng(0)
    choices = Choices(batch, agent.params.levels, (1.6,))
    zeros = np.zeros(batch.num_envs, int)
    for _ in range(steps):
        choice = rng.integers(0, choices.count, batch.num_envs)
        actions = choices.targets(batch.obs, choice, zeros)
        batch.step(actions)
    return batch.obs.copy()


def answers(agent: Any, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(of stay and cash, of the coins (n, A, L), values and the rest) of the networks."""
    seen, levels = torch.as_tensor(obs), len(agent.params.levels)
    with torch.no_grad():
        if agent.name == "choice_sac":
            said, rest = agent.model.q_net(seen), torch.zeros(len(seen), 1)
        else:
            logits = agent.model.policy.mlp_extractor.forward_actor(seen)
            said, bands = logits[:, :-2], logits[:, -2:]
            rest = torch.cat([bands, agent.model.policy.predict_values(seen)], dim=1)
    rows = said[:, 2:].reshape(len(seen), -1, levels)
    return said[:, :2].numpy(), rows.numpy(), rest.numpy()


@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_computed_does_not_depend_on_the_order_of_the_coins(
    name: str, market: Market, trained: dict[str, Any]
) -> None:
    agent = trained[name]
    batch = bound(agent, market)
    obs = walked(agent, batch)
    rows, _ = by_asset(np.arange(obs.shape[1]), 5, OBSERVE)
    order = np.array([3, 0, 4, 2, 1])
    mixed = obs.copy()
    mixed[:, rows.ravel()] = obs[:, rows[order].ravel()]
    first, each, rest = answers(agent, obs)
    then, moved, also = answers(agent, mixed)
    np.testing.assert_allclose(moved, each[:, order], atol=1e-4)
    np.testing.assert_allclose(then, first, atol=1e-4)
    np.testing.assert_allclose(also, rest, atol=1e-4)
    assert np.abs(each - each[:, order]).max() > 0.01  # the coins are told apart


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("count", [1, 3, 10])
def test_it_acts_on_any_number_of_coins_and_leaves_those_alone_that_do_not_trade(
    name: str, count: int, trained: dict[str, Any]
) -> None:
    agent = trained[name]
    wide = coins(count)
    batch = bound(agent, wide)
    actions = agent.act(batch.obs)
    assert actions.shape == (16, 4 * count + 1)
    batch.step(actions)
    closed = batch.obs.copy()
    names = [column.name for column in batch.observation_table]
    masked = [i for i, each in enumerate(names) if each.split(":")[-1] == "available"]
    closed[:, masked[-1]] = 0.0  # the last coin
    _, each, _ = answers(agent, closed)
    for greedy in (True, False):
        asked = agent.act(closed, deterministic=greedy).reshape(16, -1)[:, :-1]
        last = asked.reshape(16, count, 4)[:, -1]
        np.testing.assert_array_equal(last[:, 0], 1)  # no order
        np.testing.assert_array_equal(last[:, 1], 0)
    if name == "choice_ppo":
        assert (each[:, -1] < -1e6).all()


def test_a_coin_that_is_not_listed_yet_changes_nothing_but_the_width(
    market: Market, trained: dict[str, Any]
) -> None:
    agent = trained["choice_ppo"]
    batch = bound(agent, market)
    obs = walked(agent, batch)
    absent, less, four = without_a_coin(obs)
    first, each, rest = answers(agent, absent)
    then, others, also = answers(agent, less)
    np.testing.assert_allclose(each[:, four], others, atol=1e-4)
    np.testing.assert_allclose(first, then, atol=1e-4)
    np.testing.assert_allclose(rest, also, atol=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_saved_learner_acts_as_before_and_opens_in_plain_sb3(
    name: str, market: Market, trained: dict[str, Any], tmp_path: Path
) -> None:
    import stable_baselines3

    from agents.sb3.portfolio.taught import TaughtQ

    agent = trained[name]
    bound(agent, coins(2))  # the last env does not change what is written
    agent.save(tmp_path)
    again: Any = agents.load(tmp_path)
    batch = bound(again, market, 32)
    bound(agent, market, 32)
    obs = walked(again, batch)
    np.testing.assert_array_equal(again.act(obs), agent.act(obs))
    for kind in (
        (stable_baselines3.PPO,) if name == "choice_ppo" else (stable_baselines3.DQN, TaughtQ)
    ):
        model: Any = kind.load(tmp_path / "model.zip", device="cpu")
        said = model.predict(obs, deterministic=True)[0].reshape(32, -1)
        choice, _ = again.decide(torch.as_tensor(obs), True)
        np.testing.assert_array_equal(said[:, 0], choice)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(
    name: str, market: Market, tmp_path: Path
) -> None:
    resumed(name, CHOICE[name], market, STEPS[name], tmp_path)


def test_one_coin_in_portfolio_margin_has_the_same_heads() -> None:
    agent, actions = acted_on_paths("choice_ppo", CHOICE["choice_ppo"], 256)
    assert actions.shape == (3, 5)
    assert agent.model.action_space.nvec.tolist() == [2 + 4, 2]


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("choice_ppo", {"levels": (1.0, 0.5)}, "levels = .* does not rise"),
        ("choice_ppo", {"levels": ()}, "levels"),
        ("choice_ppo", {"bands": (4.0, 1.6)}, "bands = .* does not rise"),
        ("choice_ppo", {"shaping": True}, "shaping = True .* set shaping = False"),
        ("choice_ppo", {"start_invested": 0.5}, "start_invested = 0.5 .*set start_invested"),
        ("choice_sac", {"teacher": "ewma"}, "ewma is no rule of one capital; choose one of"),
        ("choice_ppo", {"teacher": "rotation span"}, "after the rule, span: expected NAME=VALU"),
        ("choice_ppo", {"teacher": "rotation spam=1"}, "rotation has no parameter 'spam'"),
        ("choice_sac", {"borrow_low": 2.0}, "borrow_low = 2.0 is above borrow_high = 1.5"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    name: str, params: dict[str, Any], said: str
) -> None:
    refused_in_one_line(name, params, said)


def test_an_env_that_does_not_fit_is_refused(market: Market, trained: dict[str, Any]) -> None:
    agent = trained["choice_ppo"]
    with pytest.raises(AgentError, match="they differ in available, borrow_cost"):
        agent.bind(Batch(1, market=market, actions="target"))
    settings = agent.env_settings() | {"capital": "parts"}
    with pytest.raises(AgentError, match="needs an env with capital = 'shared'"):
        agent.bind(Batch(1, market=market, **settings))
    with pytest.raises(AgentError, match="has not learned yet"):
        agents.make("choice_sac").act(np.zeros((1, 10), np.float32))
