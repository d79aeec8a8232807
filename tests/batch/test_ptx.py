"""The whole kernel compiles for data-centre GPUs, without a GPU.

`python -m experiments.speed.ptx` compiles it for two generations, and measures registers and
spills. Here it is the older one: its code runs on the newer one as well.
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
    code = ptx.compile_kernel("step", (8, 0))
    assert ".target sm_80" in code
    # what is not rounded step by step comes from exp and log alone
    products = re.findall(r"\b(?:mul|add|sub)\.(?:rn\.)?f64", code)
    assert len(products) > 1000
    assert all(".rn." in instruction for instruction in products)
