"""PPO in tensors on a small scale, and what it has to keep with each of its engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3 import PPO

import agents
from fundenv.market import Market, joint
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
ROUND = 16 * 24  # environment steps of a rollout


def of_assets(market: Market, count: int) -> Market:
    """The market as it is, or its two paths as the assets of one."""
    return market if count == 1 else joint(market, [names[0] for names in market.symbols])


def same_weights(one: Any, other: Any) -> None:
    """Two agents have the same weights, to the bit."""
    found = other.model.policy.state_dict()
    for name, value in one.model.policy.state_dict().items():
        np.testing.assert_array_equal(found[name].numpy(), value.numpy(), err_msg=name)


def opens_in_plain_sb3(agent: Any, market: Market, folder: Path) -> None:
    """What the agent has learned acts the same in stable-baselines3's own class, and learns on."""
    agent.learn(market, {}, steps=2 * ROUND, seed=0)
    agent.save(folder)
    usual: Any = agents.make("ppo", **SMALL)
    env = usual.training_env(market, {}, 0)
    plain = PPO.load(folder / "model.zip", env=env)
    assert type(plain) is PPO
    obs = env.reset()
    np.testing.assert_array_equal(plain.predict(obs, deterministic=True)[0], agent.act(obs))
    group = plain.policy.optimizer.param_groups[0]
    assert isinstance(group["lr"], float)
    assert not group["capturable"]
    plain.learn(ROUND)
    assert plain.num_timesteps == ROUND


def resumes(make: Callable[[], Any], market: Market, folder: Path, last: int) -> None:
    """A training that was stopped in its second rollout, at step `last`, ends with the bits of one
    that was not.
    """
    whole, first = make(), make()
    whole.learn(market, {}, steps=3 * ROUND, seed=2)
    first.learn(market, {}, steps=3 * ROUND, seed=2, callback=until(last))
    first.save(folder)
    second: Any = agents.load(folder)
    assert second.steps_done == ROUND
    second.learn(market, {}, steps=3 * ROUND, seed=2)
    same_weights(whole, second)
