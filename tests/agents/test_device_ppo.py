"""PPO in tensors collects what stable-baselines3's own loop collects, and its files open there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

import agents
from agents import Learner
from fundenv.market import Market, joint, synthetic_market
from tests.agents.watching import until

SMALL: dict[str, Any] = {
    "n_envs": 16,
    "n_steps": 24,
    "batch_size": 96,
    "hidden": 8,
    "imitate": 0,
    "counterfactual_rounds": 0,
    "episode_days": 3,
    "hold_bias": 0.0,
}
ROLLOUT = ("observations", "actions", "rewards", "values", "log_probs", "advantages", "returns")


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def first_rollout(name: str, market: Market) -> Any:
    """The model after one rollout, before it learns from it."""
    agent: Any = agents.make(name, **SMALL)
    agent.steps_wanted = 384
    model = agent.build(agent.training_env(market, {}, 0), 0)
    model.set_logger(Logger(None, []))
    _, callback = model._setup_learn(384, None)
    assert model.collect_rollouts(model.get_env(), callback, model.rollout_buffer, 24)
    return model


@pytest.mark.parametrize("assets", [1, 2])
def test_a_rollout_is_that_of_the_usual_loop(market: Market, assets: int) -> None:
    """Same weights, same draws, same envs: episodes of nine decisions end within it, so values of
    final observations are in.
    """
    played = market if assets == 1 else joint(market, [names[0] for names in market.symbols])
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
    assert len(seen) == 384
    np.testing.assert_array_equal(np.sort(seen), np.sort(buffer.held["advantages"].numpy().ravel()))


def test_a_checkpoint_opens_in_plain_stable_baselines3_and_learns_on_there(
    market: Market, tmp_path: Path
) -> None:
    agent: Any = agents.make("device_ppo", **SMALL)
    assert isinstance(agent, Learner)
    agent.learn(market, {}, steps=768, seed=0)
    agent.save(tmp_path)
    usual: Any = agents.make("ppo", **SMALL)
    env = usual.training_env(market, {}, 0)
    plain = PPO.load(tmp_path / "model.zip", env=env)
    assert type(plain) is PPO
    obs = env.reset()
    np.testing.assert_array_equal(plain.predict(obs, deterministic=True)[0], agent.act(obs))
    plain.learn(384)
    assert plain.num_timesteps == 384


def test_it_resumes_bit_by_bit_on_the_cpu(market: Market, tmp_path: Path) -> None:
    whole, first = (agents.make("device_ppo", **SMALL) for _ in range(2))
    assert isinstance(whole, Learner)
    assert isinstance(first, Learner)
    whole.learn(market, {}, steps=1152, seed=2)
    first.learn(market, {}, steps=1152, seed=2, callback=until(500))
    first.save(tmp_path)
    second: Any = agents.load(tmp_path)
    assert second.steps_done == 384
    second.learn(market, {}, steps=1152, seed=2)
    for key, value in whole.model.policy.state_dict().items():  # type: ignore[attr-defined]
        np.testing.assert_array_equal(
            second.model.policy.state_dict()[key].numpy(), value.numpy(), err_msg=key
        )
