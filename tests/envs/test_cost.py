"""What a step may cost, in counts: allocations, and Python executed per environment.

`python -m experiments.speed.instructions` measures machine instructions.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import config as numba_config

from experiments.core.run_folder import RunError
from experiments.speed import instructions
from fundenv.batch.cpu import Batch
from fundenv.compiler.cache import cache_folder
from fundenv.compiler.object_code import ObjectCode
from fundenv.envs.vector import FundingHedgeVectorEnv

SETTINGS: dict[str, Any] = {"decision_interval": "1h", "episode": None}
# a batch of few environments copies its observations, one of as many as these does not
FEW, MANY = (1024, 4096)
compiled = pytest.mark.skipif(
    bool(numba_config.DISABLE_JIT), reason="the rules run as plain Python"
)


def vector(n: int) -> Callable[[Any], Any]:
    env = FundingHedgeVectorEnv(n, **SETTINGS)
    env.reset(seed=0)
    return env.step


def uncopied(n: int) -> Callable[[Any], Any]:
    env = FundingHedgeVectorEnv(n, copy=False, autoreset_mode="same_step", **SETTINGS)
    env.reset(seed=0)
    return env.step


def sb3(n: int) -> Callable[[Any], Any]:
    pytest.importorskip("stable_baselines3")
    from fundenv.envs.sb3 import FundingHedgeVecEnv

    env = FundingHedgeVecEnv(n, **SETTINGS)
    env.seed(0)
    env.reset()
    return env.step


def torch(n: int) -> Callable[[Any], Any]:
    th = pytest.importorskip("torch")
    from fundenv.envs.torch import FundingHedgeTorchEnv

    env = FundingHedgeTorchEnv(n, **SETTINGS)
    env.reset(seed=0)
    return lambda actions: env.step(th.from_numpy(actions))


# Each face; whether it hands out a copy of the observation; and what else it hands out anew at
# every step, in bytes per environment: reward, flags and their union; SB3: float32 reward, dones,
# an empty dict and its place in a list.
FACES: dict[str, tuple[Callable[[int], Callable[[Any], Any]], bool, int]] = {
    "vector": (vector, True, 11),
    "uncopied": (uncopied, False, 11),
    "sb3": (sb3, True, 5 + 64 + 8),
    "torch": (torch, False, 0),
}
PER_ENV = {"sb3": 5}  # bytecodes: one fresh info dict, which SB3 asks for


def actions_of(n: int) -> Any:
    return np.random.default_rng(0).uniform(-1, 1, (n, 3)).astype(np.float32)


def python_of(step: Callable[[Any], Any], actions: Any) -> tuple[int, int]:
    """(bytecodes, calls of Python and C functions) of one step."""
    bytecodes = calls = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal bytecodes
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        bytecodes += event == "opcode"
        return trace

    def profile(_frame: Any, event: str, _: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    step(actions)
    tracers = sys.gettrace(), sys.getprofile()
    gc.disable()  # whoever listens to collections would be counted
    try:
        sys.settrace(trace)
        sys.setprofile(profile)
        step(actions)
    finally:
        sys.settrace(tracers[0])
        sys.setprofile(tracers[1])
        gc.enable()
    return bytecodes, calls


def bytes_of(step: Callable[[Any], Any], actions: Any) -> int:
    """Most bytes that one step holds at a time beyond what was held before."""
    kept = step(actions)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = step(actions)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
        del kept


@compiled
@pytest.mark.parametrize("face", FACES)
def test_no_python_runs_per_environment(face: str) -> None:
    (few, calls_few), (many, calls_many) = (
        python_of(FACES[face][0](n), actions_of(n)) for n in (FEW, MANY)
    )
    assert few > 20
    assert calls_many == calls_few
    assert many - few <= PER_ENV.get(face, 0) * (MANY - FEW)


@compiled
@pytest.mark.parametrize("face", FACES)
def test_a_step_allocates_what_it_hands_out_and_no_more(face: str) -> None:
    make, copied, rest = FACES[face]
    handed_out = 4 * len(Batch(1).observation_table) * copied + rest
    few, many = (bytes_of(make(n), actions_of(n)) for n in (FEW, MANY))
    assert many - few <= handed_out * (MANY - FEW) + 1_000
    assert few - handed_out * FEW < 10_000


@compiled
def test_the_compiled_loop_allocates_nothing() -> None:
    Batch(1, **SETTINGS)
    kept = [
        ObjectCode.from_bytes(file.read_bytes()[32:])  # behind the checksum
        for file in Path(cache_folder()).glob("_step*.code")
    ]
    assert kept
    # names can be read in it
    assert all(b"NumbaEnv7fundenv" in each.code for each in kept)
    assert not any(b"NRT_" in each.code for each in kept)
    assert not any(name.startswith("NRT_") for each in kept for name in each.needs)


def test_instructions_are_counted() -> None:
    def add(n: int) -> Callable[[], object]:
        return lambda: sum(range(n))

    try:
        first, second, again = (instructions.count(add(n)) for n in (100, 200, 200))
    except RunError as error:
        pytest.skip(str(error))
    assert 0 < first < second
    assert again == pytest.approx(second, rel=0.01)  # Python's own free lists differ by a few


def test_a_function_that_fails_is_not_counted() -> None:
    def fail() -> None:
        raise ValueError

    with pytest.raises(RunError, match=r"ended early|ptrace"):
        instructions.count(fail)
