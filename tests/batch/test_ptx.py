"""The whole kernel compiles for two generations of data-centre GPUs, without a GPU.

`python -m experiments.speed.ptx` measures registers and spills.
"""

from __future__ import annotations

import re

import pytest

ptx = pytest.importorskip("fundenv.batch.ptx")


@pytest.mark.slow
def test_the_step_kernel_compiles_and_rounds_every_operation() -> None:
    lack = ptx.missing()
    if lack:
        pytest.skip(lack)
    for capability in ((8, 0), (9, 0)):
        code = ptx.compile_kernel("step", capability)
        assert f".target sm_{capability[0]}{capability[1]}" in code
        # what is not rounded step by step comes from exp and log alone
        products = re.findall(r"\b(?:mul|add|sub)\.(?:rn\.)?f64", code)
        assert len(products) > 1000
        assert all(".rn." in instruction for instruction in products)
