"""An agent comes back from its folder as it was, with the settings it was trained under."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import agents
from agents import AgentError, Learner
from agents.sb3.sac import SAC
from fundenv.batch.cpu import Batch
from fundenv.market import Market, joint, synthetic_market
from tests.agents.watching import until

TINY = {
    "ppo": {"n_envs": 8, "n_steps": 16, "batch_size": 64, "hidden": 8, "counterfactual_rounds": 4},
    "sac": {"n_envs": 4, "batch_size": 16, "hidden": 8, "learning_starts": 16, "buffer_size": 256},
}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def trained(name: str, market: Market, steps: int = 160) -> Learner:
    agent = agents.make(name, **TINY[name])
    assert isinstance(agent, Learner)
    agent.learn(market, {"cash_rate": 0.02}, steps=steps, seed=0)
    return agent


@pytest.mark.parametrize("name", ["flat", "carry", "zscore", "random", "ppo", "sac"])
def test_a_saved_agent_acts_as_before(name: str, market: Market, tmp_path: Path) -> None:
    agent = trained(name, market) if name in TINY else agents.make(name)
    batch = Batch(32, market=market, **agent.env_settings())
    agent.bind(batch)
    obs = batch.reset(1)
    agent.save(tmp_path)
    again = agents.load(tmp_path)
    again.bind(batch)
    assert again.name == name
    assert again.params == agent.params
    np.testing.assert_array_equal(again.act(obs), agent.act(obs))
    assert again.provenance.market == market.hash


def test_a_checkpoint_knows_its_env_and_its_steps(market: Market, tmp_path: Path) -> None:
    trained("ppo", market).save(tmp_path)
    again = agents.load(tmp_path)
    assert isinstance(again, Learner)
    assert again.steps_done == 256  # two rollouts of 8 x 16
    assert again.provenance.env["cash_rate"] == 0.02
    assert again.provenance.env["actions"] == "discrete"


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_training_goes_on_where_it_stopped(name: str, market: Market, tmp_path: Path) -> None:
    trained(name, market).save(tmp_path)
    again = agents.load(tmp_path)
    assert isinstance(again, Learner)
    done = again.steps_done
    again.learn(market, {"cash_rate": 0.02}, steps=done + 64, seed=0)
    assert again.steps_done >= done + 64


def test_an_interrupted_sac_keeps_its_replay_buffer_and_a_finished_one_drops_it(
    market: Market, tmp_path: Path
) -> None:
    agent = agents.make("sac", **TINY["sac"])
    assert isinstance(agent, Learner)
    agent.learn(market, {}, steps=200, seed=0, callback=until(100))
    # the step that was stopped at counts for nothing: it is taken again
    assert agent.steps_done == 96
    agent.save(tmp_path)
    again = agents.load(tmp_path)
    assert isinstance(again, SAC)
    assert again.model.replay_buffer.size() == 24  # rows of 4 envs
    again.learn(market, {}, steps=200, seed=0)
    again.save(tmp_path)
    assert again.steps_done == 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.json", "model.zip"]


def test_a_learner_refuses_an_env_it_was_not_made_for(market: Market) -> None:
    agent = trained("ppo", market)
    with pytest.raises(
        AgentError,
        match=r"agent ppo needs an env with actions = 'discrete', this one has 'continuous'",
    ):
        agent.bind(Batch(1, market=market))
    pair = joint(market, [names[0] for names in market.symbols])
    with pytest.raises(
        AgentError, match=r"agent ppo knows 44 observations, this env has 84; they differ in 0:"
    ):
        agent.bind(Batch(1, market=pair, **agent.env_settings()))


def test_rules_and_learners_speak_for_several_assets(market: Market) -> None:
    pair = joint(market, [names[0] for names in market.symbols])
    for name in ("flat", "carry", "zscore", "random", "ppo", "sac"):
        agent = trained(name, pair) if name in TINY else agents.make(name)
        batch = Batch(3, market=pair, **agent.env_settings())
        agent.bind(batch)
        batch.reset(0)
        batch.step(agent.act(batch.obs))
        assert np.isfinite(batch.reward).all()


def test_an_empty_folder_and_an_untrained_learner_say_so(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"no agent in .*checkpoint.json is missing"):
        agents.load(tmp_path)
    with pytest.raises(AgentError, match="agent ppo has not learned yet"):
        agents.make("ppo").act(np.zeros((1, 4), np.float32))
