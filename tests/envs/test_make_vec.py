"""`gymnasium.make_vec`: limits, refusals, and calls of a vector environment."""

import gc
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import fundenv  # noqa: F401  registers the environment
from fundenv.config import ConfigError, EnvConfig
from fundenv.envs.vector import FundingHedgeVectorEnv

ID = "fundenv/FundingHedge-v0"


def test_make_vec_uses_the_vector_entry_point_and_declares_its_autoreset_mode():
    env = gym.make_vec(ID, num_envs=5)
    assert isinstance(env, FundingHedgeVectorEnv)
    assert env.metadata["autoreset_mode"] is env.autoreset_mode is AutoresetMode.NEXT_STEP
    assert env.reset(seed=0)[0].shape == env.observation_space.shape
    other = gym.make_vec(ID, num_envs=5, autoreset_mode="same_step")
    assert other.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


@pytest.mark.parametrize(("episode", "limit", "length"), [(None, 7, 7), ("2D", 7, 6), ("2D", 4, 4)])
def test_make_vec_takes_a_limit_of_steps_as_make_does(episode, limit, length):
    single = gym.make(ID, max_episode_steps=limit, episode=episode)
    envs = gym.make_vec(ID, num_envs=2, max_episode_steps=limit, episode=episode)
    single.reset(seed=1)
    envs.reset(seed=0)
    action = np.zeros((2, 3), np.float32)
    for step in range(1, length + 1):
        *_, alone, _ = single.step(action[1])
        _, _, terminated, truncated, _ = envs.step(action)
        assert not terminated.any()
        assert truncated.tolist() == [step == length] * 2
        assert alone == (step == length)


def test_make_vec_without_a_limit_and_with_a_bad_one():
    free = gym.make_vec(ID, num_envs=2, max_episode_steps=-1).unwrapped
    assert free.batch.config.episode == "90D"
    both = gym.make_vec(ID, 2, max_episode_steps=5, per_env={"fee_scale": [0.0, 1.0]}).unwrapped
    assert both.batch.store.params.shape[0] == 2
    for bad in (0, "7", 7.5, float("nan"), True):
        with pytest.raises(ConfigError, match=r"max_episode_steps = .* is not a whole number"):
            gym.make_vec(ID, num_envs=2, max_episode_steps=bad)


@pytest.mark.parametrize("limit", [None, 5])
def test_a_setting_beside_a_whole_config_is_refused_with_and_without_a_limit(limit):
    with pytest.raises(ConfigError, match="both config and fee_scale are given"):
        gym.make_vec(
            ID, num_envs=2, max_episode_steps=limit, config=EnvConfig(episode="2D"), fee_scale=0.5
        )
    held = gym.make_vec(ID, num_envs=2, max_episode_steps=limit, config=EnvConfig(episode="2D"))
    assert held.unwrapped.batch.config.episode == ("2D" if limit is None else "40h")


def test_make_vec_refuses_the_brief_info_of_a_single_env():
    with pytest.raises(ConfigError, match="info = 'brief' is not one of False, True"):
        gym.make_vec(ID, num_envs=2, info="brief")


def test_a_vector_environment_answers_calls_as_gymnasiums_own_do():
    ours = gym.make_vec(ID, num_envs=2)
    theirs = gym.make_vec(ID, num_envs=2, vectorization_mode="sync")
    assert ours.call("render") == theirs.call("render") == (None, None)
    assert ours.call("observation_table") == theirs.call("observation_table")
    assert ours.get_attr("render_mode") == theirs.get_attr("render_mode")
    with pytest.raises(AttributeError):
        ours.get_attr("colour")


def test_a_refused_vector_environment_leaves_nothing_to_close():
    found = []
    before, sys.unraisablehook = sys.unraisablehook, found.append
    try:
        for wrong in ({"leverag": 3}, {"num_envs": 0}, {"autoreset_mode": "never"}):
            with pytest.raises(ConfigError):
                gym.make_vec(ID, **wrong)
            gc.collect()
    finally:
        sys.unraisablehook = before
    assert not found
