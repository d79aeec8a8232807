"""Data sets and offline learners: Minari and d3rlpy."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from tests.contract.world import DISCRETE_ID, EPISODE, LENGTH, MODULE_ID, check_ends


@pytest.mark.parametrize("info", ["brief", True], ids=str)
def test_minari_stores_infos_and_the_end(
    info: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    minari = pytest.importorskip("minari", reason="no minari: pip install 'minari[hdf5,create]'")
    for needed in ("h5py", "jax"):
        pytest.importorskip(needed, reason=f"no {needed}: pip install 'minari[hdf5,create]'")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = minari.DataCollector(gym.make(MODULE_ID, info=info, **EPISODE), record_infos=True)
    for seed in range(2):
        env.reset(seed=seed)
        ended = False
        while not ended:
            *_, terminated, truncated, _ = env.step(np.array([0.5, 0, 0], np.float32))
            ended = terminated or truncated
    env.create_dataset("fundenv/contract-v0")
    for episode in minari.load_dataset("fundenv/contract-v0"):
        check_ends(episode.terminations, episode.truncations)
        assert len(episode.infos["equity"]) == LENGTH + 1
        assert episode.infos["equity"][0] == 100_000


@pytest.mark.parametrize("name", [MODULE_ID, DISCRETE_ID])
def test_d3rlpy_collects_and_learns(name: str, tmp_path: Any) -> None:
    d3rlpy = pytest.importorskip("d3rlpy", reason="no d3rlpy: pip install d3rlpy")
    env = gym.make(name, **EPISODE)
    if name == MODULE_ID:
        learner = d3rlpy.algos.SACConfig(batch_size=8).create(device="cpu:0")
    else:
        learner = d3rlpy.algos.DQNConfig(batch_size=8).create(device="cpu:0")
    buffer = d3rlpy.dataset.create_fifo_replay_buffer(limit=100, env=env)
    learner.fit_online(
        env,
        buffer,
        n_steps=3 * LENGTH,
        n_steps_per_epoch=3 * LENGTH,
        update_start_step=LENGTH,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    assert [episode.size() for episode in buffer.episodes] == [LENGTH] * 3
    assert not any(episode.terminated for episode in buffer.episodes)
