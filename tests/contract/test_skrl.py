"""skrl."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest

from tests.contract.world import EPISODE, LENGTH, MODULE_ID, check_ends

pytest.importorskip("skrl", reason="no skrl: pip install skrl")
pytest.importorskip("torch", reason="no torch: pip install 'fundenv[sb3]'")
from skrl.envs.wrappers.torch import wrap_env

NETWORK = [{"name": "net", "input": "OBSERVATIONS", "layers": [16], "activations": "elu"}]
SETTINGS: dict[str, Any] = {
    "seed": 0,
    "models": {
        "separate": True,
        "policy": {
            "class": "GaussianMixin",
            "initial_log_std": 0.0,
            "network": NETWORK,
            "output": "ACTIONS",
        },
        "value": {"class": "DeterministicMixin", "network": NETWORK, "output": "ONE"},
    },
    "memory": {"class": "RandomMemory", "memory_size": -1},
    "agent": {
        "class": "PPO",
        "rollouts": LENGTH,
        "learning_epochs": 1,
        "mini_batches": 1,
        "time_limit_bootstrap": True,
    },
    "trainer": {"class": "SequentialTrainer", "timesteps": 3 * LENGTH, "disable_progressbar": True},
}


def test_the_end_is_truncated() -> None:
    import torch

    for count in (1, 2):
        inner: Any = (
            gym.make(MODULE_ID, **EPISODE)
            if count == 1
            else gym.make_vec(MODULE_ID, 2, autoreset_mode="same_step", **EPISODE)
        )
        env = wrap_env(inner)
        env.reset()
        terminated, truncated = [], []
        for _ in range(LENGTH):
            _, _, ended, cut, _ = env.step(torch.zeros(count, 3))
            terminated.append(ended.any())
            truncated.append(cut.all())
        check_ends(terminated, truncated)


def test_ppo_learns(tmp_path: Any) -> None:
    from skrl.utils.runner.torch import Runner

    env = wrap_env(gym.make_vec(MODULE_ID, 2, autoreset_mode="same_step", **EPISODE))
    quiet = {"directory": str(tmp_path), "write_interval": 0, "checkpoint_interval": 0}
    settings = SETTINGS | {"agent": SETTINGS["agent"] | {"experiment": quiet}}
    runner = Runner(env, settings)
    before = [p.detach().clone() for p in runner.agent.policy.parameters()]
    runner.run()
    after = list(runner.agent.policy.parameters())
    assert any((a != b).any() for a, b in zip(after, before, strict=True))
