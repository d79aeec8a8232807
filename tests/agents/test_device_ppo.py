"""PPO in tensors collects what stable-baselines3's own loop collects, and its files open there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import Logger

import agents
from agents import Learner
from fundenv.market import Market, synthetic_market
from tests.agents.device_learners import ROUND, SMALL, of_assets, opens_in_plain_sb3, resumes

ROLLOUT = ("observations", "actions", "rewards", "values", "log_probs", "advantages", "returns")


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def first_rollout(name: str, market: Market) -> Any:
    """The model after one rollout, before it learns from it."""
    agent: Any = agents.make(name, **SMALL)
    agent.steps_wanted = ROUND
    model = agent.build(agent.training_env(market, {}, 0), 0)
    model.set_logger(Logger(None, []))
    _, callback = model._setup_learn(ROUND, None)
    assert model.collect_rollouts(model.get_env(), callback, model.rollout_buffer, 24)
    return model


@pytest.mark.parametrize("assets", [1, 2])
def test_a_rollout_is_that_of_the_usual_loop(market: Market, assets: int) -> None:
    """Same weights, same draws, same envs: episodes of nine decisions end within it, so values of
    final observations are in.
    """
    played = of_assets(market, assets)
    usual, here = (first_rollout(name, played).rollout_buffer for name in ("ppo", "device_ppo"))
    assert usual.episode_starts[1:].sum() == 32
    for name in ROLLOUT:
        np.testing.assert_allclose(
            here.held[name].numpy(), getattr(usual, name), rtol=1e-4, atol=2e-5, err_msg=name
        )


def test_arguments_of_distributions_are_checked_again_after_a_rollout(market: Market) -> None:
    before = torch.distributions.Distribution._validate_args
    first_rollout("device_ppo", market)
    assert torch.distributions.Distribution._validate_args == before
    with pytest.raises(ValueError, match="satisfy the constraint"):
        torch.distributions.Normal(0.0, -1.0)


def test_minibatches_hold_every_step_once(market: Market) -> None:
    buffer = first_rollout("device_ppo", market).rollout_buffer
    seen = np.concatenate([batch.advantages.numpy() for batch in buffer.get(96)])
    assert len(seen) == ROUND
    np.testing.assert_array_equal(np.sort(seen), np.sort(buffer.held["advantages"].numpy().ravel()))


def test_a_checkpoint_opens_in_plain_stable_baselines3_and_learns_on_there(
    market: Market, tmp_path: Path
) -> None:
    agent = agents.make("device_ppo", **SMALL)
    assert isinstance(agent, Learner)
    opens_in_plain_sb3(agent, market, tmp_path)


def test_it_resumes_bit_by_bit_on_the_cpu(market: Market, tmp_path: Path) -> None:
    resumes(lambda: agents.make("device_ppo", **SMALL), market, tmp_path, 500)
