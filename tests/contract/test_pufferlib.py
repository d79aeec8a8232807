"""PufferLib's emulation."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from tests.contract.world import EPISODE, LENGTH, MODULE_ID, check_ends


def test_emulation_sees_the_end() -> None:
    emulation = pytest.importorskip(
        "pufferlib.emulation", reason="no pufferlib: pip install pufferlib"
    )
    env = emulation.GymnasiumPufferEnv(env_creator=lambda: gym.make(MODULE_ID, **EPISODE))
    env.reset(seed=0)
    terminated, truncated = [], []
    for _ in range(LENGTH):
        *_, ended, cut, _ = env.step(np.zeros(3, np.float32))
        terminated.append(ended)
        truncated.append(cut)
    check_ends(terminated, truncated)
