"""The GPU batch against the CPU batch: in numba's simulator everywhere, on a device where there is
one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")

from fundenv.batch.action_sizes import grid_sizes
from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError
from tests.markets import wild_market

ROOT = Path(__file__).parents[2]
TIERED = str(ROOT / "tests/laws/tiered.toml")
PAIR = ("FINE", "COSTLY")
CASES: dict[str, dict[str, Any]] = {
    "isolated": {
        "market": wild_market(1, PAIR[1:], paths=2),
        "actions": "continuous",
        "reward": "expected",
        "max_leverage": 20.0,
    },
    "cross": {
        "market": wild_market(2, PAIR),
        "margin_mode": "cross",
        "actions": "target",
        "max_leverage": 20.0,
        "allow_short_spot": True,
    },
    "portfolio": {
        "market": wild_market(3, PAIR),
        "margin_mode": "portfolio",
        "actions": "discrete",
        "max_leverage": 10.0,
    },
}
COMMON: dict[str, Any] = {
    "autoreset": "same_step",
    "venue": TIERED,
    "decision_interval": "2h",
    "episode": "20h",
    "start_invested": 0.5,
}
# relative to the initial equity: what exp and log of two libraries may differ by, after many steps
MONEY = 1e-9


def play(batch: Any, steps: int, seed: int = 11) -> list[np.ndarray]:
    """Flags and money of every step, on the host."""

    def host(array: Any) -> np.ndarray:
        return np.array(array.copy_to_host() if hasattr(array, "copy_to_host") else array)

    rng = np.random.default_rng(0)
    seen = [host(batch.reset(seed))]
    sizes = grid_sizes(batch.config, batch.n_assets)
    for _ in range(steps):
        shape = batch.actions.shape
        batch.step(rng.uniform(-1, 1, shape) if sizes is None else rng.integers(0, sizes, shape))
        state = (
            batch.terminated,
            batch.truncated,
            batch.store.episode,
            batch.obs,
            batch.final_obs,
            batch.reward,
        )
        seen += [
            host(array)
            for array in (
                *state,
                batch.ledger,
                batch.trades,
                batch.store.account,
                batch.store.legs,
                batch.final_stats,
            )
        ]
    return seen


SAVED = """
import sys
from tests.batch.test_cuda import *
from fundenv.batch.cuda import CudaBatch

for name, case in CASES.items():
    np.savez(f"{sys.argv[1]}/{name}.npz", *play(CudaBatch(3, block=2, **COMMON, **case), 24))
"""


def test_the_simulator_gives_the_bits_of_the_compiled_cpu_batch(tmp_path: Path) -> None:
    simulator = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAVED, str(tmp_path)],
        cwd=ROOT,
        env=simulator,
        check=True,
    )
    for name, case in CASES.items():
        expected = play(Batch(3, **COMMON, **case), 24)
        with np.load(tmp_path / f"{name}.npz") as found:
            assert len(found.files) == len(expected)
            for k, want in enumerate(expected):
                assert np.array_equal(found[f"arr_{k}"], want), f"{name}: array {k}"
        assert np.array(expected[2::11]).any(), (
            f"{name}: no episode was truncated, so no reset was compared"
        )


RESUMED = """
from tests.batch.test_cuda import *
from fundenv.batch.cuda import CudaBatch

ranges = {"cash_rate": (0.0, 0.1)}
first, second = (CudaBatch(2, randomize=ranges, **COMMON, **CASES["isolated"]) for _ in range(2))
first.reset(3)
second.reset(9)
first.step(np.ones((2, 3)))
kept = first.state()
first.step(np.zeros((2, 3)))
second.restore(kept)
second.step(np.zeros((2, 3)))
assert np.array_equal(first.audit()["equity"], second.audit()["equity"])
assert np.array_equal(first.where[1], second.audit()["row"])
first.randomize({"cash_rate": (0.25, 0.25)})
first.reset(mask=[True, False])
at = [each.name for each in first.observation_table].index("cash_rate")
shown = first.obs.copy_to_host()[:, at] / 20
assert abs(shown[0] - 0.25) < 1e-6 and shown[1] < 0.1, shown
shown = first.obs
with first.recorded():
    first.step(np.zeros((2, 3)))
    first.step(np.zeros((2, 3)))
assert first.obs is shown
for problem in (RuntimeError, KeyError):  # an odd number of steps, and a recording that failed
    try:
        with first.recorded():
            first.step(np.zeros((2, 3)))
            assert first.obs is not shown
            if problem is KeyError:
                raise problem
    except problem:
        assert first.obs is shown
    else:
        raise AssertionError(problem)
try:
    first.refresh(first.market)
except ConfigError:
    print("refused")
"""


def test_the_simulator_resumes_and_moves_its_ranges() -> None:
    simulator = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RESUMED],
        cwd=ROOT,
        env=simulator,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "refused\n", done.stderr


def test_without_a_device_the_error_is_one_line() -> None:
    from fundenv.batch.cuda import CudaBatch, cuda

    if cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(ConfigError, match=r"^device = 0: no CUDA device .*use the CPU batch$"):
        CudaBatch(2)


@pytest.mark.parametrize("name", CASES)
def test_a_device_gives_the_flags_and_the_money_of_the_cpu_batch(name: str) -> None:
    from fundenv.batch.cuda import CudaBatch, cuda

    if not cuda.is_available():
        pytest.skip("no CUDA device")
    found, expected = (play(kind(300, **COMMON, **CASES[name]), 200) for kind in (CudaBatch, Batch))
    scale = [None, None, None, 1e-5, 1e-5, 1e-5, *[MONEY * 1e5] * 5]
    for k, (have, want) in enumerate(zip(found[1:], expected[1:], strict=True)):
        tolerance = scale[k % 11]
        if tolerance is None:
            assert np.array_equal(have, want), k
        else:
            assert np.allclose(have, want, rtol=1e-9, atol=tolerance), k
