"""The kernel of the advantages: the bits of the loop in a simulator, and its code for a GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

KERNEL = """
import numpy as np
import torch
from numba import cuda
from agents.sb3.device.advantages import advantages
from agents.sb3.device.advantages_kernel import Advantages

rng = np.random.default_rng(0)
for steps, count in ((1, 1), (7, 130), (33, 200)):
    size = (steps, count)
    held = {k: rng.standard_normal(size).astype(np.float32) for k in ("rewards", "values")}
    held["starts"] = (rng.random((steps, count)) < 0.1).astype(np.float32)
    held |= {k: np.zeros((steps, count), np.float32) for k in ("advantages", "returns")}
    last = rng.standard_normal(count).astype(np.float32)
    ended = (rng.random(count) < 0.3).astype(np.float32)
    there = {name: cuda.to_device(value.copy()) for name, value in held.items()}
    Advantages(there, cuda.to_device(last), cuda.to_device(ended))(0.999, 0.97)
    here = {name: torch.as_tensor(value) for name, value in held.items()}
    advantages(here, torch.as_tensor(last), torch.as_tensor(ended), 0.999, 0.97)
    for name in ("advantages", "returns"):
        assert np.any(held[name]), name
        assert np.array_equal(there[name].copy_to_host(), here[name].numpy()), name
"""


def test_the_kernel_of_the_advantages_has_the_bits_of_the_loop() -> None:
    pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")
    simulator = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KERNEL],
        cwd=Path(__file__).parents[2],
        env=simulator,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow
def test_the_kernel_of_the_advantages_compiles_for_a_gpu_in_single_precision() -> None:
    ptx = pytest.importorskip("fundenv.batch.ptx")
    if lack := ptx.missing():
        pytest.skip(lack)
    from agents.sb3.device.advantages_kernel import KERNEL

    whole, row = np.zeros((4, 8), np.float32), np.zeros(8, np.float32)
    given = (whole, whole, whole, row, row, whole, whole, np.float32(0.9), np.float32(0.8))
    for capability in ((8, 0), (9, 0)):
        code = ptx.compile_function(KERNEL.py_func, given, capability)
        assert f".target sm_{capability[0]}{capability[1]}" in code
        assert ".f64" not in code
        products = re.findall(r"\b(?:mul|add|sub|fma)\.(?:rn\.)?f32", code)
        assert len(products) >= 7
        assert all(each.endswith(".rn.f32") for each in products)
        assert not any(each.startswith("fma") for each in products)
        assert ptx.assemble(code, capability).spill_stores == 0
