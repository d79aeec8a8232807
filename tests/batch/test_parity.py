"""Same seed, same episode, bit for bit: single, vector of any size, on threads, in
stable-baselines3 and in plain Python.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.envs.single import FundingHedgeEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from tests.markets import PLAIN_VENUE, wild_market

RANGES = {
    "fee_scale": ("log", 0.5, 2.0),
    "funding_scale": (0.5, 1.5),
    "funding_shift": (-0.05, 0.05),
}
SETTINGS = {
    "episode": "2D",
    "decision_interval": "4h",
    "venue": PLAIN_VENUE,
    "start_invested": 0.5,
    "randomize": RANGES,
}
MARKET = wild_market(11, paths=6, length=120)
STEPS = 60


def action_stream(seed, width=3):
    rng = np.random.default_rng(seed)
    while True:
        yield rng.uniform(-1, 1, width).astype(np.float32)


def single_run(seed):
    """Rows of (observation, reward, terminated, truncated); the row after the end is the first of
    the next episode.
    """
    env, stream, rows = FundingHedgeEnv(market=MARKET, **SETTINGS), action_stream(seed), []
    obs, _ = env.reset(seed=seed)
    for _ in range(STEPS):
        final, reward, terminated, truncated, _ = env.step(next(stream))
        obs = env.reset()[0] if terminated or truncated else final
        rows.append(np.concatenate([obs, final, [reward, terminated, truncated]]))
    return np.array(rows)


def vector_run(seed, count, chosen, threads=1):
    """The same rows of environment `chosen` in a batch of `count`."""
    env = FundingHedgeVectorEnv(
        count, autoreset_mode="same_step", threads=threads, market=MARKET, **SETTINGS
    )
    streams, rows = [action_stream(seed + i) for i in range(count)], []
    env.reset(seed=seed)
    for _ in range(STEPS):
        obs, reward, terminated, truncated, info = env.step(
            np.stack([next(stream) for stream in streams])
        )
        ended = terminated[chosen] or truncated[chosen]
        final = info["final_obs"][chosen] if ended else obs[chosen]
        rows.append(
            np.concatenate(
                [obs[chosen], final, [reward[chosen], terminated[chosen], truncated[chosen]]]
            )
        )
    return np.array(rows)


@pytest.mark.parametrize(
    ("count", "chosen", "threads"), [(1, 0, 1), (3, 2, 1), (17, 9, 1), (17, 9, 2), (17, 16, 4)]
)
def test_vector_of_any_size_and_thread_count_repeats_the_single_run(count, chosen, threads):
    expected = single_run(100 + chosen)
    assert expected[:, -2].any() or expected[:, -1].any()
    assert np.array_equal(vector_run(100, count, chosen, threads), expected)


def test_stable_baselines_face_repeats_the_single_run():
    sb3 = pytest.importorskip("fundenv.envs.sb3", exc_type=ImportError)
    env, streams = (
        sb3.FundingHedgeVecEnv(3, market=MARKET, **SETTINGS),
        [action_stream(i) for i in range(3)],
    )
    env.seed(0)
    env.reset()
    rows = []
    for _ in range(STEPS):
        obs, reward, done, info = env.step(np.stack([next(stream) for stream in streams]))
        final = info[1]["terminal_observation"] if done[1] else obs[1]
        cut = info[1].get("TimeLimit.truncated", False)
        assert all((not entry) != ended for entry, ended in zip(info, done, strict=True))
        rows.append(np.concatenate([obs[1], final, [reward[1], done[1] and not cut, cut]]))
    expected = single_run(1)
    assert np.array_equal(np.array(rows)[:, :-3], expected[:, :-3])
    assert np.array_equal(np.array(rows)[:, -3], expected[:, -3].astype(np.float32))
    assert np.array_equal(np.array(rows)[:, -2:], expected[:, -2:])


def test_next_step_face_shows_the_final_observation_then_a_free_reset():
    env = FundingHedgeVectorEnv(2, market=MARKET, **SETTINGS)
    expected, streams = single_run(7), [action_stream(7), action_stream(8)]
    env.reset(seed=7)
    row = 0
    while row < STEPS - 1:
        obs, reward, terminated, truncated, _ = env.step(
            np.stack([next(stream) for stream in streams])
        )
        width = obs.shape[1]
        assert np.array_equal(
            np.concatenate([obs[0], [reward[0], terminated[0], truncated[0]]]),
            expected[row, width:],
        )
        if terminated[0] or truncated[0]:
            obs, reward, terminated, truncated, _ = env.step(np.ones((2, 3)))
            assert np.array_equal(obs[0], expected[row, :width])
            assert (reward[0], terminated[0], truncated[0]) == (0.0, False, False)
        row += 1


def test_seed_zero_is_a_seed_and_seeds_differ():
    batch = Batch(4, market=MARKET, **SETTINGS)
    first, again, other = (batch.reset(seed).copy() for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    # environment i of seed s is environment i - 1 of seed s + 1
    assert np.array_equal(first[1:], other[:-1])
    assert not np.array_equal(first[0], other[-1])


def test_without_a_seed_two_batches_differ_and_resets_go_on():
    a, b = Batch(64, market=MARKET, **SETTINGS), Batch(64, market=MARKET, **SETTINGS)
    first = a.reset().copy()
    assert not np.array_equal(first, b.reset())
    assert not np.array_equal(first, a.reset())


def test_the_last_observation_survives_one_step():
    batch = Batch(3, market=MARKET, **SETTINGS)
    before = batch.reset(0)
    kept = before.copy()
    batch.step(np.ones((3, 3)))
    assert np.array_equal(before, kept)
    assert not np.array_equal(batch.obs, kept)


def test_per_env_numbers_reach_only_their_environment():
    rates = np.array([0.0, 0.5])
    batch = Batch(2, market=MARKET, per_env={"cash_rate": rates}, **SETTINGS)
    batch.reset([5, 5])
    batch.step(np.zeros((2, 3)))
    plain = Batch(2, market=MARKET, cash_rate=0.5, **SETTINGS)
    plain.reset([5, 5])
    plain.step(np.zeros((2, 3)))
    assert batch.reward[1] == plain.reward[1] != batch.reward[0]


def test_plain_python_gives_the_compiled_numbers():
    """One short run in a subprocess with the compiler off: what a debugger steps through is what
    users get.
    """
    script = (
        "import numpy as np; from tests.batch.test_parity import *\nbatch = Batch(3, market=MARKET,"
        " autoreset='same_step', **SETTINGS); batch.reset(0); out = []\nfor k in range(20):\n   "
        " batch.step(np.random.default_rng(k).uniform(-1, 1, (3, 3))); out +="
        " [batch.obs.sum(axis=1, dtype=float), batch.reward, batch.ledger.sum(axis=1)]\n    out ="
        " [np.array(x) for x in out]\nprint(','.join(float(x).hex() for x in"
        " np.concatenate(out)))\n"
    )
    root = Path(__file__).parents[2]
    results = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            cwd=root,
            env=os.environ | {"NUMBA_DISABLE_JIT": flag},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flag in ("0", "1")
    ]
    assert results[0].count(",") > 100
    assert results[0] == results[1]
