"""PufferLib's emulation."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from tests.contract.world import DISCRETE_ID, EPISODE, LENGTH, MODULE_ID, check_ends


@pytest.mark.parametrize("name", [MODULE_ID, DISCRETE_ID])
def test_emulation_sees_the_end(name: str) -> None:
    emulation = pytest.importorskip(
        "pufferlib.emulation", reason="no pufferlib: pip install pufferlib"
    )
    pufferlib = pytest.importorskip("pufferlib")
    version = getattr(pufferlib, "__version__", None) or pufferlib.version.__version__
    if name == MODULE_ID and version.startswith("1."):
        pytest.skip(f"PufferLib {version} emulates no Box of actions; 2.0 does")
    env = emulation.GymnasiumPufferEnv(env_creator=lambda: gym.make(name, **EPISODE))
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape, env.action_space.dtype)
    terminated, truncated = [], []
    for _ in range(LENGTH):
        *_, ended, cut, _ = env.step(action)
        terminated.append(ended)
        truncated.append(cut)
    check_ends(terminated, truncated)
