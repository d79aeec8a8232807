"""What is handed to compiled code passes the gate, by whichever face, or is refused in one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import fundenv  # noqa: F401  (registers)
from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from fundenv.envs.single import FundingHedgeEnv
from tests.batch.small_batch import COMMON, GOOD, N, W

ROOT = Path(__file__).parents[2]
Step = Callable[[Any], Any]


def batch_face() -> tuple[Batch, Step, Step]:
    batch = Batch(N, **COMMON)
    return batch, batch.reset, batch.step


def vector_face() -> tuple[Batch, Step, Step]:
    envs = gym.make_vec("fundenv/FundingHedge-v0", num_envs=N, **COMMON)
    return envs.unwrapped.batch, lambda seed: envs.reset(seed=seed), envs.step  # type: ignore[attr-defined]


def sb3_face() -> tuple[Batch, Step, Step]:
    pytest.importorskip("stable_baselines3", exc_type=ImportError)
    from fundenv.envs.sb3 import FundingHedgeVecEnv

    envs = FundingHedgeVecEnv(N, **COMMON)
    return envs.batch, lambda seed: (envs.seed(seed), envs.reset()), envs.step


def torch_face() -> tuple[Batch, Step, Step]:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from fundenv.envs.torch import FundingHedgeTorchEnv

    envs = FundingHedgeTorchEnv(N, **COMMON)
    return envs.batch, envs.reset, lambda x: envs.step(torch.as_tensor(x))


FACES = {"batch": batch_face, "vector": vector_face, "sb3": sb3_face, "torch": torch_face}
BAD: dict[str, tuple[Any, str]] = {
    "transposed": (GOOD.T.copy(), r"of shape \(3, 4\) .*expected numbers of shape \(4, 3\)"),
    "one row for all": (GOOD[0], r"expected numbers of shape \(4, 3\)"),
    "one number for all": (0.5, r"expected numbers of shape \(4, 3\)"),
    "one column": (GOOD[:, :1], r"expected numbers of shape \(4, 3\)"),
    "flat": (GOOD.ravel(), r"expected numbers of shape \(4, 3\)"),
    "too many": (np.zeros((N + 1, W)), r"expected numbers of shape \(4, 3\)"),
    "bools": (GOOD > 0, "bool.*expected numbers"),
    "complex": (GOOD.astype(complex), "complex.*expected numbers"),
    "NaN": (np.where(GOOD[2, 1] == GOOD, np.nan, GOOD), "of environment 2 is not a finite number"),
    "infinite": (np.where(GOOD == 1.0, np.inf, GOOD), "of environment 3 is not a finite number"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("face", FACES)
def test_actions_that_do_not_fit_are_refused_and_nothing_is_stepped(face: str, what: str) -> None:
    batch, reset, step = FACES[face]()
    reset(0)
    before = batch.state()
    actions, message = BAD[what]
    with pytest.raises(ValueError, match=message) as caught:
        step(actions)
    assert "\n" not in str(caught.value)
    for name in ("params", "block", "episode", "obs"):
        assert np.array_equal(batch.state()[name], before[name]), name


@pytest.mark.parametrize("face", FACES)
def test_a_step_before_the_first_reset_is_refused(face: str) -> None:
    _, _, step = FACES[face]()
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\) before step\(\)"):
        step(GOOD)


@pytest.mark.parametrize("face", FACES)
def test_numbers_beyond_the_box_are_its_limits(face: str) -> None:
    given, clipped = (FACES[face]() for _ in range(2))
    for (batch, reset, step), actions in ((given, 3.0 * GOOD), (clipped, np.clip(3 * GOOD, -1, 1))):
        reset(0)
        step(actions)
        step(actions)
        assert np.abs(batch.ledger).sum() > 0
    assert np.array_equal(given[0].ledger, clipped[0].ledger)


def masked(values: Any) -> Any:
    return np.ma.array(values, mask=[True, *[False] * (len(values) - 1)])


def test_a_masked_array_is_refused() -> None:
    batch = Batch(N, **COMMON)
    batch.reset(0)
    with pytest.raises(ValueError, match=r"masked array .*\.filled\(value\)"):
        batch.step(np.ma.array(GOOD, mask=GOOD > 0))
    with pytest.raises(ConfigError, match="reset_mask: a masked array"):
        batch.reset(mask=masked([True] * N))
    with pytest.raises(ConfigError, match="seed: a masked array"):
        batch.reset(masked([1] * N))


SINGLE_BAD = [0.5, [0.5], np.float32(0.5), np.zeros((1, W)), np.zeros(4), None, "up", [True] * W]


@pytest.mark.parametrize("action", SINGLE_BAD, ids=repr)
def test_an_action_of_a_single_env_is_not_broadcast(action: Any) -> None:
    env = FundingHedgeEnv(**COMMON)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected numbers of shape \(3,\)"):
        env.step(action)
    env.step([0.5, 0, 0])


WITHIN = np.array([0.5, 0.0, 0.0], np.float32)
INFINITE = np.array([np.inf, 0.0, -np.inf], np.float32)
NOT_FINITE = [INFINITE, INFINITE.astype(float), [0.5, np.nan, 0.0], WITHIN * np.float32(np.nan)]
OTHERS = [WITHIN.reshape(1, W), WITHIN[:2], np.ma.array(WITHIN, mask=[True, False, False])]


@pytest.mark.parametrize("form", ["use_compiled", "use_python"])
def test_a_refused_action_steps_no_single_env(form: str) -> None:
    env = FundingHedgeEnv(**COMMON)
    getattr(env.batch, form)()
    env.reset(seed=0)
    env.step(WITHIN)
    before = env.batch.state()
    for action in NOT_FINITE:
        with pytest.raises(ValueError, match="of environment 0 is not a finite number") as caught:
            env.step(action)
        assert "\n" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for action in OTHERS:
        with pytest.raises(ValueError, match=r"expected numbers of shape \(3,\)"):
            env.step(action)
    after = env.batch.state()
    assert all(np.array_equal(after[name], before[name]) for name in ("block", "episode", "obs"))
    one, other = FundingHedgeEnv(**COMMON), FundingHedgeEnv(**COMMON)
    for each, action in ((one, WITHIN[::-1]), (other, WITHIN[::-1].astype(float))):
        getattr(each.batch, form)()
        each.reset(seed=0)
        each.step(action)
    assert np.array_equal(one.batch.block, other.batch.block)


@pytest.mark.parametrize("form", ["use_compiled", "use_python"])
def test_a_reset_is_asked_for_before_an_action_is_judged(form: str) -> None:
    env = FundingHedgeEnv(**COMMON)
    getattr(env.batch, form)()
    for action in (WITHIN, *NOT_FINITE, *OTHERS, None):
        with pytest.raises(gym.error.ResetNeeded, match="call reset"):
            env.step(action)


@pytest.mark.parametrize("row", [[6, 0, 0], [-1, 0, 0], [0.5, 0, 0], [0, 3, 0], [0, 0, 4]])
def test_an_index_that_no_grid_has_is_refused(row: list[float]) -> None:
    batch = Batch(2, **COMMON, actions="discrete")
    batch.reset(0)
    with pytest.raises(
        ValueError, match=r"environment 1 is outside .*0 \.\. 5, 0 \.\. 2, 0 \.\. 3"
    ):
        batch.step([[5, 2, 3], row])
    env = FundingHedgeEnv(**COMMON, actions="discrete")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="environment 0 is outside the grids"):
        env.step(row)
    env.step(env.action_space.sample())


INDICES = [[0, 60], [-1, 0], [0.5, 0], [[0], [1]], [0], 3, [True, False], None]


@pytest.mark.parametrize("numbers", INDICES, ids=repr)
def test_a_number_that_is_no_decision_is_refused(numbers: Any) -> None:
    batch = Batch(2, **COMMON, actions="indexed")
    batch.reset(0)
    last = len(batch.decisions) - 1  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected 2 whole number\(s\) within 0 \.\. "):
        batch.step([0, last + 1] if numbers == [0, 60] else numbers)
    batch.step([0, last])


MASKS = {
    "too short": np.array([True, False]),
    "too long": np.ones(8, dtype=bool),
    "two axes": np.ones((N, 1), dtype=bool),
    "indices": [0, 2],
    "zeros and ones": np.array([1, 0, 0, 1]),
    "one for all": True,
    "text": "all",
}


@pytest.mark.parametrize("what", MASKS)
def test_a_reset_mask_is_one_bool_for_each_environment(what: str) -> None:
    envs = gym.make_vec("fundenv/FundingHedge-v0", num_envs=N, **COMMON, autoreset_mode="disabled")
    envs.reset(seed=0)
    envs.step(GOOD)
    before = envs.unwrapped.batch.state()  # type: ignore[attr-defined]
    with pytest.raises(
        ConfigError, match=r"reset_mask = .*expected 4 values True or False"
    ) as caught:
        envs.reset(options={"reset_mask": MASKS[what]})
    assert "\n" not in str(caught.value)
    assert np.array_equal(envs.unwrapped.batch.store.episode, before["episode"])  # type: ignore[attr-defined]


def test_a_mask_resets_its_environments_and_seeds_no_other() -> None:
    batch, other = Batch(N, **COMMON), Batch(N, **COMMON)
    for each in (batch, other):
        each.reset(0)
        each.step(GOOD)
    chosen = np.array([False, True, False, True])
    batch.reset(100, mask=chosen)
    assert np.array_equal(batch.store.episode[~chosen], other.store.episode[~chosen])
    assert batch.store.episode[:, t.SEED].tolist() == [0, 101, 2, 103]
    assert batch.store.episode[:, t.DECISION].tolist() == [1, 0, 1, 0]
    fresh = Batch(N, **COMMON)
    fresh.reset(100)
    assert np.array_equal(batch.store.episode[chosen], fresh.store.episode[chosen])


def test_the_first_reset_begins_all_environments() -> None:
    batch = Batch(N, **COMMON)
    with pytest.raises(ConfigError, match="leaves out environment 1, which has not begun"):
        batch.reset(0, mask=[True, False, True, True])
    batch.reset(0, mask=np.ones(N, dtype=bool))
    batch.step(GOOD)


SEEDS = [1.0, np.nan, True, "1", -1, 2**62 + 1, 2**80, [1, 2], [1, 2, 3, -4], [None] * N]


@pytest.mark.parametrize("seed", SEEDS, ids=repr)
def test_a_seed_that_is_none_is_refused_and_changes_nothing(seed: Any) -> None:
    batch = Batch(N, **COMMON)
    batch.reset(0)
    before = batch.state()
    with pytest.raises(ConfigError, match=r"^seed = ") as caught:
        batch.reset(seed)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="path 3 does not exist"):
        batch.reset(5, paths=3)
    assert np.array_equal(batch.store.episode, before["episode"])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"paths": 0.7}, "path = 0.7: expected a whole number"),
        ({"paths": [0, 1]}, r"path = \[0, 1\]: expected a whole number, or 4"),
        ({"paths": np.nan}, "path = nan"),
        ({"starts": 1.5}, "start = 1.5"),
        ({"paths": np.uint64(2**63)}, r"path = .*, below 2\*\*63"),
        ({"starts": 2**63 - 1}, "start 9223372036854775807 of path 0 is outside"),
        ({"starts": np.array([[1], [2], [3], [4]])}, "start = an array of shape"),
    ],
)
def test_where_an_episode_begins_is_whole_numbers(where: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batch(N, **COMMON).reset(0, **where)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"per_env": {"cash_rate": [0, 0, 0, 2]}}, r"is 2 for environment 3, outside -0\.5 \.\. 1"),
        ({"per_env": {"max_leverage": [0, 5, 5, 5]}}, "is 0 for environment 0, outside 3 .. 10"),
        ({"per_env": {"cash_rate": [0, 0]}}, "expected 4 finite numbers"),
        ({"per_env": {"cash_rate": 0.1}}, "expected 4 finite numbers"),
        ({"per_env": {"cash_rate": [0, 0, 0, np.nan]}}, "expected 4 finite numbers"),
        ({"per_env": {"cash_rate": [0, 0, 0, 1j]}}, "expected 4 finite numbers"),
        ({"per_env": {"cash_rate": masked([0.0] * N)}}, "masked array"),
        ({"per_env": {"bar_years": [1] * N}}, "no setting 'bar_years'"),
        ({"num_envs": 2.5}, "num_envs = 2.5: expected a whole number"),
        ({"num_envs": True}, "num_envs = True: expected a whole number"),
        ({"num_envs": 10**12}, "num_envs = 1000000000000 needs .* GiB, this machine has"),
        ({"threads": 0}, "threads = 0: must be at least 1"),
    ],
)
def test_numbers_of_a_batch_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batch(**({"num_envs": N} | COMMON | settings))


# --- processes ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_threads_step_in_a_forked_process_too() -> None:
    script = (
        "import os, numpy as np; from tests.batch.test_gate import *\n"
        "batch = Batch(40, **COMMON, threads=2); batch.reset(0); go = np.ones((40, 3))\n"
        "batch.step(go); state = batch.state(); read, write = os.pipe(); child = os.fork()\n"
        "batch.step(go); mine = batch.reward.tobytes()\n"
        "if child == 0: os.write(write, mine); os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0; assert os.read(read, 400) == mine; batch.close()\n"
        "batch.step(go); print('both stepped')"
    )
    assert run(script).stdout == "both stepped\n"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout[-2000:]} {done.stderr[-4000:]}"
    return done


def test_no_array_ends_the_process() -> None:
    done = run("import runpy; runpy.run_module('tests.batch.gate_fuzz', run_name='__main__')")
    assert re.search(r"^alive$", done.stdout, re.M)
