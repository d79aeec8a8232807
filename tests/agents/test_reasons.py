"""The reason of a decision is that of the first condition that holds."""

from __future__ import annotations

import numpy as np
import pytest

from agents.reasons import Reason, first_reason


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_numpy_selects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flags = [rng.random((40, 3)) < 0.4 for _ in range(4)]
    reasons = [Reason.PENDING, Reason.ENTER, Reason.EXIT, Reason.HOLD]
    found = first_reason(flags, reasons, Reason.NEUTRAL)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, np.select(flags, reasons, Reason.NEUTRAL))
    assert len(np.unique(found)) == 5  # or the comparison says little


def test_one_condition_may_count_for_all_assets() -> None:
    found = first_reason(
        [np.array([[True], [False]]), np.array([[True, False], [True, False]])],
        [Reason.PENDING, Reason.HOLD],
        Reason.NEUTRAL,
    )
    wanted = [[Reason.PENDING] * 2, [Reason.HOLD, Reason.NEUTRAL]]
    np.testing.assert_array_equal(found, wanted)
