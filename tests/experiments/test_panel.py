"""The interval of a comparison over days, subsets and seeds holds the truth as often as it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.analysis.panel import paired_over

Array = NDArray[np.float64]
TRIALS, DRAWS = 250, 400
DAYS, SUBSETS = 100, 6


def drawn(rng: np.random.Generator, seeds: int, spread: tuple[float, float, float]) -> Array:
    """Returns whose mean is 0: what all share on a day, what a subset has, what a seed has."""
    day, subset, seed = spread
    return np.asarray(
        day * rng.normal(size=(DAYS, 1, 1))
        + subset * rng.normal(size=(1, SUBSETS, 1))
        + seed * rng.normal(size=(1, 1, seeds))
        + 0.3 * rng.normal(size=(DAYS, SUBSETS, seeds))
    )


def covered(
    interval: Callable[[Array], tuple[float, float]], seeds: int, spread: tuple[float, float, float]
) -> float:
    """Share of trials whose interval holds the truth."""
    rng = np.random.default_rng(seeds)
    held = 0
    for _ in range(TRIALS):
        low, high = interval(drawn(rng, seeds, spread))
        held += low <= 0.0 <= high
    return held / TRIALS


def ours(values: Array) -> tuple[float, float]:
    found = paired_over(values, draws=DRAWS)
    return found.low, found.high


def seeds_by_symbol(values: Array) -> tuple[float, float]:
    """The fault: every subset draws seeds of its own, as if they did not agree."""
    rng = np.random.default_rng(0)
    days = rng.integers(DAYS, size=(DRAWS, DAYS))
    counts = np.stack([np.bincount(row, minlength=DAYS) for row in days])
    means = (counts @ values.reshape(DAYS, -1) / DAYS).reshape(DRAWS, *values.shape[1:])
    picked = rng.integers(values.shape[2], size=means.shape)
    low, high = np.quantile(
        np.take_along_axis(means, picked, axis=2).mean(axis=(1, 2)), (0.025, 0.975)
    )
    return float(low), float(high)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(
    "spread", [(1.0, 0.0, 0.3), (0.3, 0.0, 1.0), (1.0, 0.3, 0.3), (3.0, 0.1, 0.1)]
)
def test_an_interval_of_95_covers_95(seeds: int, spread: tuple[float, float, float]) -> None:
    share = covered(ours, seeds, spread)
    assert 0.91 <= share <= 1.0  # three standard deviations of 250 trials below 95 %


def test_seeds_drawn_by_symbol_cover_too_little_where_symbols_agree() -> None:
    assert covered(seeds_by_symbol, 10, (1.0, 0.0, 0.3)) < 0.9
    assert covered(seeds_by_symbol, 3, (0.3, 0.0, 1.0)) < 0.6


def test_a_true_difference_is_found_and_none_is_not_invented() -> None:
    rng, below = np.random.default_rng(7), 0
    for trial in range(TRIALS):
        below += paired_over(drawn(rng, 5, (1.0, 0.1, 0.2)), seed=0, draws=DRAWS).p_value < 0.05
        assert trial < 60 or below <= 0.12 * trial
    sure = paired_over(0.5 + drawn(rng, 5, (0.3, 0.1, 0.1)))
    assert sure.p_value < 0.001
    assert sure.low > 0.0


def test_what_both_sides_share_does_not_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    common = rng.normal(size=(DAYS, SUBSETS, 1))
    apart = paired_over(common + 0.1 + 0.001 * rng.normal(size=(DAYS, SUBSETS, 3)), common)
    assert apart.low == pytest.approx(0.1, abs=0.01)
    alone = paired_over(common + 0.1)
    assert alone.high - alone.low > 10 * (apart.high - apart.low)


def test_the_seeds_of_both_sides_are_drawn() -> None:
    rng = np.random.default_rng(5)
    mine, other = drawn(rng, 5, (0.1, 0.0, 1.0)), drawn(rng, 5, (0.1, 0.0, 1.0))
    one, both = paired_over(mine), paired_over(mine, other)
    assert (both.high - both.low) > 1.1 * (one.high - one.low)


def test_equal_agents_have_no_interval_and_shapes_must_fit() -> None:
    same = paired_over(np.ones((40, 2, 1)), np.ones((40, 2, 1)))
    assert same.value == 0.0
    assert np.isnan(same.p_value)
    with pytest.raises(ValueError, match="days and subsets differ"):
        paired_over(np.ones((40, 2, 1)), np.ones((40, 3, 1)))
