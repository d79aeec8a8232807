"""stable-baselines3 and rl-zoo3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.world import DISCRETE_ID, EPISODE, LENGTH, MODULE_ID

sb3 = pytest.importorskip(
    "stable_baselines3", reason="no stable-baselines3: pip install 'fundenv[sb3]'"
)
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize  # noqa: E402


@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv], ids=["dummy", "subproc"])
def test_the_end_is_a_time_limit_with_its_last_observation(kind: Any) -> None:
    # the id names the module: a worker process imports it
    options = {"start_method": "spawn"} if kind is SubprocVecEnv else {}
    envs = make_vec_env(
        MODULE_ID, 2, seed=0, env_kwargs=EPISODE, vec_env_cls=kind, vec_env_kwargs=options
    )
    envs.reset()
    before = None
    for step in range(1, LENGTH + 1):
        obs, _, dones, infos = envs.step(np.zeros((2, 3), np.float32))
        assert dones.tolist() == [step == LENGTH] * 2
        if step < LENGTH:
            before = obs
    assert [info["TimeLimit.truncated"] for info in infos] == [True, True]
    assert [info["episode"]["l"] for info in infos] == [LENGTH, LENGTH]  # of SB3's Monitor
    for info, first, last in zip(infos, obs, before, strict=True):
        assert not np.array_equal(info["terminal_observation"], first)
        assert not np.array_equal(info["terminal_observation"], last)
    envs.close()


def test_ppo_learns_on_normalised_environments() -> None:
    envs = VecNormalize(make_vec_env(MODULE_ID, 2, seed=0, env_kwargs=EPISODE))
    model = sb3.PPO("MlpPolicy", envs, n_steps=16, batch_size=16, n_epochs=1, seed=0)
    model.learn(64)
    assert model.ep_info_buffer[-1]["l"] == LENGTH
    assert np.isfinite(envs.obs_rms.mean).all()


def test_dqn_learns_and_keeps_the_value_of_a_truncated_end() -> None:
    envs = make_vec_env(DISCRETE_ID, 1, seed=0, env_kwargs=EPISODE)
    model = sb3.DQN("MlpPolicy", envs, learning_starts=8, train_freq=4, buffer_size=60, seed=0)
    model.learn(48)
    buffer = model.replay_buffer
    ends = buffer.dones[: buffer.pos, 0] == 1
    assert ends.sum() == 48 // LENGTH
    assert (buffer.timeouts[: buffer.pos, 0][ends] == 1).all()
    batch = buffer.sample(30)
    assert not batch.dones.any()  # a time limit is no end of the value
    action, _ = model.predict(envs.reset())
    assert envs.action_space.contains(action[0])


def zoo(tmp_path: Path, job: str, *words: str) -> None:
    """Run a script of rl-zoo3 on short episodes; it fails where the script does."""
    try:
        import rl_zoo3  # noqa: F401
    except ImportError as error:
        pytest.skip(f"no rl_zoo3 ({error}): pip install rl_zoo3")
    name = MODULE_ID.split(":")[1]
    common = ["--algo", "ppo", "--env", name, "--gym-packages", "fundenv", "-f", str(tmp_path)]
    if job == "train":
        settings = tmp_path / "ppo.yml"
        settings.write_text(
            f"{name}:\n  n_timesteps: 64\n  policy: MlpPolicy\n  n_steps: 32\n  batch_size: 32\n"
            "  n_epochs: 1\n"
        )
        common += ["--conf-file", str(settings), "-n", "64", "--env-kwargs", "episode:'2D'"]
    done = subprocess.run(
        [sys.executable, "-m", f"rl_zoo3.{job}", *common, *words, "--num-threads", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.mark.slow
def test_rl_zoo_trains_and_enjoys(tmp_path: Path) -> None:
    zoo(tmp_path, "train", "--eval-freq", "32", "--eval-episodes", "2")
    run = next(path for path in (tmp_path / "ppo").rglob("evaluations.npz")).parent
    with np.load(run / "evaluations.npz") as found:
        assert (found["ep_lengths"] == LENGTH).all()  # rewards of whole episodes, at each look
        assert np.isfinite(found["results"]).all()
    zoo(tmp_path, "enjoy", "-n", "12", "--no-render", "--exp-id", "1")


@pytest.mark.slow
def test_rl_zoo_optimises(tmp_path: Path) -> None:
    search = ("--optimize", "--n-trials", "2", "--n-jobs", "1", "--sampler", "random")
    quick = ("--seed", "2")  # whose two trials are short: up to 20 epochs of 4,096 steps are drawn
    zoo(tmp_path, "train", *search, *quick, "--pruner", "none", "--n-evaluations", "1")
    reports = [path.read_text() for path in (tmp_path / "ppo").rglob("report_*.csv")]
    assert len(reports) == 1
    assert reports[0].count("COMPLETE") == 2
