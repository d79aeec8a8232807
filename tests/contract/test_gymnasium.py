"""Gymnasium's checkers, wrappers and vector environments over the environment as a client makes
it.
"""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers as w
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import vector as v

from tests.contract.world import DISCRETE_ID, EPISODE, LENGTH, MODULE_ID, check_ends

RENDERS = {"render_mode": "rgb_array"}
WRAPPERS: dict[str, Any] = {
    "ClipAction": w.ClipAction,
    "ClipReward": lambda env: w.ClipReward(env, -1, 1),
    "DelayObservation": lambda env: w.DelayObservation(env, 2),
    "DtypeObservation": lambda env: w.DtypeObservation(env, np.float64),
    "FlattenObservation": w.FlattenObservation,
    "FrameStackObservation": lambda env: w.FrameStackObservation(env, 3),
    "MaxAndSkipObservation": lambda env: w.MaxAndSkipObservation(env, 2),
    "NormalizeObservation": w.NormalizeObservation,
    "NormalizeReward": w.NormalizeReward,
    "OrderEnforcing": w.OrderEnforcing,
    "PassiveEnvChecker": w.PassiveEnvChecker,
    "RecordEpisodeStatistics": w.RecordEpisodeStatistics,
    "RescaleAction": lambda env: w.RescaleAction(env, np.float32(0), np.float32(1)),
    "StickyAction": lambda env: w.StickyAction(env, 0.3),
    "TimeAwareObservation": lambda env: w.TimeAwareObservation(w.TimeLimit(env, 100)),
    "TimeLimit": lambda env: w.TimeLimit(env, 100),
    "TransformAction": lambda env: w.TransformAction(env, lambda a: a / 2, env.action_space),
    "TransformObservation": lambda env: w.TransformObservation(
        env, lambda o: o, env.observation_space
    ),
    "TransformReward": lambda env: w.TransformReward(env, lambda r: 2 * r),
}
DRAWING: dict[str, Any] = {
    "AddRenderObservation": w.AddRenderObservation,
    "RenderCollection": w.RenderCollection,
}
VECTORS: dict[str, Any] = {
    "ClipAction": v.ClipAction,
    "ClipReward": lambda env: v.ClipReward(env, -1, 1),
    "DictInfoToList": v.DictInfoToList,
    "FlattenObservation": v.FlattenObservation,
    "NormalizeObservation": v.NormalizeObservation,
    "NormalizeReward": v.NormalizeReward,
    "RecordEpisodeStatistics": v.RecordEpisodeStatistics,
    "RescaleAction": lambda env: v.RescaleAction(env, np.float32(0), np.float32(1)),
    "TransformReward": lambda env: v.TransformReward(env, lambda r: 2 * r),
}


def flags(env: Any, steps: int = 2 * LENGTH) -> tuple[list[bool], list[bool]]:
    """(terminated, truncated) of steps with random actions; the loop resets."""
    env.reset(seed=0)
    env.action_space.seed(0)
    ends: tuple[list[bool], list[bool]] = ([], [])
    for _ in range(steps):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        ends[0].append(terminated)
        ends[1].append(truncated)
        if terminated or truncated:
            env.reset()
    return ends


@pytest.mark.parametrize("name", [MODULE_ID, DISCRETE_ID])
def test_the_checker_finds_nothing(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(name, **EPISODE).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_sees_the_end(name: str) -> None:
    length = LENGTH // 2 if name == "MaxAndSkipObservation" else LENGTH
    check_ends(*flags(WRAPPERS[name](gym.make(MODULE_ID, **EPISODE))), length=length)


@pytest.mark.parametrize("name", DRAWING)
def test_a_wrapper_that_draws_sees_the_end(name: str) -> None:
    pytest.importorskip("matplotlib", reason="no matplotlib: pip install 'fundenv[render]'")
    env = DRAWING[name](gym.make(MODULE_ID, **EPISODE, **RENDERS))
    check_ends(*flags(env, steps=LENGTH))


def test_videos_are_recorded(tmp_path: Any) -> None:
    for needed in ("matplotlib", "moviepy"):
        pytest.importorskip(needed, reason=f"no {needed}: pip install {needed}")
    env = w.RecordVideo(gym.make(MODULE_ID, **EPISODE, **RENDERS), str(tmp_path))
    check_ends(*flags(env, steps=LENGTH))
    env.close()
    assert list(tmp_path.glob("*.mp4"))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP], ids=str)
@pytest.mark.parametrize("kind", ["native", "sync", "async"])
def test_vector_environments_see_the_end(kind: str, mode: AutoresetMode) -> None:
    if kind == "native":
        envs: Any = gym.make_vec(MODULE_ID, 2, autoreset_mode=mode, **EPISODE)
    else:
        make = SyncVectorEnv if kind == "sync" else AsyncVectorEnv
        envs = make([lambda: gym.make(MODULE_ID, **EPISODE)] * 2, autoreset_mode=mode)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    terminated, truncated = [], []
    for _ in range(2 * (LENGTH + (mode is AutoresetMode.NEXT_STEP))):
        _, _, ended, cut, info = envs.step(envs.action_space.sample())
        assert cut[0] == cut[1]
        terminated.append(ended.any())
        truncated.append(cut[0])
        if mode is AutoresetMode.SAME_STEP:
            assert ("final_obs" in info) == cut[0]
    # in NEXT_STEP the step after the end resets, and belongs to no episode
    both = list(zip(terminated, truncated, strict=True))
    if mode is AutoresetMode.NEXT_STEP:
        assert both.pop(LENGTH) == both.pop(-1) == (False, False)
    check_ends(*zip(*both, strict=True))
    envs.close()


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_wrapper_sees_the_end(name: str) -> None:
    envs = VECTORS[name](gym.make_vec(MODULE_ID, 2, **EPISODE))
    envs.reset(seed=0)
    truncated = []
    for _ in range(LENGTH):
        _, _, terminated, cut, _ = envs.step(np.zeros((2, 3), np.float32))
        assert not terminated.any()
        truncated.append(cut.all())
    check_ends([False], truncated)
