"""What a user sees and gets when the simulation is compiled."""

from __future__ import annotations

import numba
import pytest

from fundenv.dynamics.rng import mix


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="rules are plain Python here")
def test_a_rule_says_how_to_call_it() -> None:
    with pytest.raises(TypeError, match=r"call mix\.py_func"):
        mix(1)
