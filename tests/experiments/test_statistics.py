"""Statistics against what can be worked out by hand, and against draws whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from experiments.analysis.statistics import (
    improvement,
    improvement_interval,
    iqm,
    paired,
    profile,
    seed_interval,
)


def test_the_interquartile_mean_leaves_out_the_outer_quarters() -> None:
    assert iqm(np.array([[-100.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 900.0]])) == pytest.approx(
        (2 + 3 + 4 + 5) / 4
    )


def test_the_interquartile_mean_is_scipys_to_the_last_bit() -> None:
    rng = np.random.default_rng(2)
    for size in (*range(1, 40), 100, 333):
        for _ in range(5):
            scores = rng.standard_t(2, size) * 10.0 ** rng.integers(-6, 6)
            scores[rng.random(size) < 0.2] = scores[0]  # ties
            assert iqm(scores) == stats.trim_mean(scores, 0.25)
    assert np.isnan(iqm(np.array([[1.0, np.nan], [2.0, 3.0]])))
    assert np.isnan(iqm(np.array([])))


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    tasks = np.array([0.0, 5.0, -3.0])
    inside = 0
    for trial in range(120):
        scores = tasks + rng.standard_normal((12, 3))
        found = seed_interval(scores, lambda x: float(x.mean()), seed=trial, draws=300)
        inside += found.low <= tasks.mean() <= found.high
    assert 0.85 <= inside / 120 <= 0.99


def test_whole_seeds_are_drawn() -> None:
    """A good seed is good on all symbols: the interval of four such seeds is twice as wide as that
    of a bootstrap which drew each of four symbols apart.
    """
    quality = np.array([-1.0, 0.0, 0.0, 1.0])
    scores = np.tile(quality[:, None], (1, 4))
    found = seed_interval(scores, lambda x: float(x.mean()))
    wanted = 2 * 1.96 * quality.std() / len(quality) ** 0.5
    assert found.high - found.low == pytest.approx(wanted, rel=0.2)
    certain = seed_interval(np.tile([0.0, 10.0], (6, 1)), lambda x: float(x.mean()))
    assert tuple(certain) == (5.0, 5.0, 5.0)


def test_one_run_has_no_interval() -> None:
    assert np.isnan(seed_interval(np.array([[1.0, 2.0, 3.0]])).low)


def test_probability_of_improvement_counts_pairs_of_the_same_task() -> None:
    mine, other = np.array([[1.0, 7.0], [3.0, 7.0]]), np.array([[2.0, 7.0]])
    # task 1: one of two above; task 2: ties
    assert improvement(mine, other) == pytest.approx((0.5 + 0.5) / 2)
    assert improvement(other + 10, mine) == 1.0
    found = improvement_interval(mine, other, draws=200)
    assert found.low <= found.value <= found.high
    assert found.low < found.high


def test_a_profile_falls_from_all_to_none() -> None:
    assert profile(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.0, 2.0, 4.0])).tolist() == [
        1.0,
        0.5,
        0.0,
    ]


def test_the_paired_test_finds_a_difference_and_does_not_invent_one() -> None:
    rng = np.random.default_rng(1)
    common = rng.standard_normal(400).cumsum() * 0.01
    better = paired(common + 0.1 + 0.3 * rng.standard_normal(400), common, draws=500)
    assert better.p_value < 0.01
    assert better.low > 0
    rejected = sum(
        paired(rng.standard_normal(200), rng.standard_normal(200), draws=200, seed=k).p_value < 0.1
        for k in range(60)
    )
    assert rejected <= 14  # 6 expected; 15 or more in one of a thousand


def test_equal_series_have_no_p_value() -> None:
    assert np.isnan(paired(np.ones(50), np.ones(50)).p_value)


def test_days_are_drawn_for_both_sides_alike() -> None:
    """A constant difference is certain, however wild the days are."""
    days = np.random.default_rng(2).normal(0.0, 0.01, 1000)
    nearly = days + 0.005 + np.random.default_rng(5).normal(0.0, 1e-6, 1000)
    assert paired(nearly, days)[:3] == pytest.approx((0.005, 0.005, 0.005), abs=1e-6)
    alone = paired(days, np.zeros(1000))
    width = 2 * 1.96 * 0.01 / np.sqrt(1000)  # of a mean of independent days
    assert alone.high - alone.low == pytest.approx(width, rel=0.2)


def test_seeds_that_differ_widen_the_interval() -> None:
    days = np.random.default_rng(3).normal(0.0, 0.001, (500, 1))
    none = np.zeros((500, 1))
    shifts = np.array([-2e-3, -1e-3, 1e-3, 2e-3])
    one, four = paired(days, none), paired(days + shifts, none)
    assert four.value == pytest.approx(one.value)
    assert four.high - four.low > 3 * (one.high - one.low)
