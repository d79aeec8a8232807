"""The quieter training market keeps the level of the basis and everything that an agent sees; the
wilder one begins its episodes where it says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import agents
from agents.training.augmentation import (
    CRASHES,
    Oversampled,
    wild_days,
    with_crashes,
    with_smooth_basis,
)
from agents.training.hindsight_potential import Hindsight, Terms
from fundenv.batch.cpu import Batch
from fundenv.market import Market, synthetic_market
from fundenv.market.layout import (
    MARK_CLOSE,
    MARK_HIGH,
    MARK_LOW,
    MARK_OPEN,
    PERP_CLOSE,
    PERP_OPEN,
    SPOT_CLOSE,
)


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.6, paths=2, seed=8)


def test_the_basis_is_averaged_and_its_level_kept(market: Market) -> None:
    quiet = with_smooth_basis(market, 24)
    np.testing.assert_array_equal(quiet.features, market.features)
    np.testing.assert_array_equal(quiet.bars[..., SPOT_CLOSE], market.bars[..., SPOT_CLOSE])
    for first, last in market.paths:
        noisy, calm = (
            m.bars[first:last, 0, MARK_CLOSE] / m.bars[first:last, 0, SPOT_CLOSE]
            for m in (market, quiet)
        )
        assert abs(calm.mean() - noisy.mean()) < 0.1 * noisy.std()
        assert np.diff(calm).std() < 0.2 * np.diff(noisy).std()
        weights = np.r_[(1 - 2 / 25) ** 100, 2 / 25 * (1 - 2 / 25) ** np.arange(99, -1, -1)]
        assert np.isclose(calm[100], (weights * noisy[:101]).sum(), atol=1e-12)
        part = quiet.bars[first:last, 0]
        assert (part[:, MARK_HIGH] >= part[:, [MARK_CLOSE]].max(axis=1) - 1e-9).all()
        assert (part[:, MARK_LOW] <= part[:, MARK_CLOSE] + 1e-9).all()
        # what happens over a night is as it was
        for opened, closed in ((PERP_OPEN, PERP_CLOSE), (MARK_OPEN, MARK_CLOSE)):
            gaps = (
                m.bars[first + 1 : last, 0, opened] / m.bars[first : last - 1, 0, closed]
                for m in (market, quiet)
            )
            np.testing.assert_allclose(*gaps)


def crashed(market: Market, share: float = 0.4) -> Oversampled:
    return with_crashes(market, share, 24.0 * 20)


def test_wild_days_are_the_widest_ranges_and_a_week_apart(market: Market) -> None:
    days = wild_days(market)
    assert len(days) == CRASHES
    widths = []
    for path, row in days:
        bars = market.bars[row + 1 : row + 25, 0]
        widths.append(float(np.log(bars[:, MARK_HIGH].max() / bars[:, MARK_LOW].min())))
        first, last = market.paths[path]
        assert first + 24 <= row < last
        assert all(
            other != path or other_row == row or abs(other_row - row) >= 7 * 24
            for other, other_row in days
        )
    assert widths == sorted(widths, reverse=True)
    every = np.log(market.bars[:, 0, MARK_HIGH] / market.bars[:, 0, MARK_LOW])
    assert widths[0] >= every.max()


def test_the_share_of_episodes_begins_shortly_before_wild_days_and_no_bar_is_copied(
    market: Market,
) -> None:
    found, of = crashed(market)
    assert found.bars is market.bars
    days = wild_days(market)
    env = {"episode": "20D", "random_start": True}
    near = []
    for made in (market, found):
        batch = Batch(4000, market=made, **env)
        batch.reset(3)
        path, row = batch.where
        base = path if made is market else of[path]
        assert all(
            market.paths[b, 0] <= r < market.paths[b, 1] for b, r in zip(base, row, strict=True)
        )
        before = np.array(
            [
                [24 <= wild - r <= 240 if p == b else False for p, wild in days]
                for b, r in zip(base, row, strict=True)
            ]
        )
        near.append(before.any(axis=1).mean())
        seen = batch.obs.copy()
        batch.reset(3)
        # drawn by seed, environment and episode alone
        np.testing.assert_array_equal(batch.obs, seen)
    assert near[1] == pytest.approx(0.4 + 0.6 * near[0], abs=0.04)
    assert near[0] < 0.4


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_any_share_is_met_closely(market: Market, share: float) -> None:
    found, _ = crashed(market, share)
    whole = {tuple(path) for path in market.paths.tolist()}
    assert np.mean([tuple(path) not in whole for path in found.paths.tolist()]) == pytest.approx(
        share, abs=0.02
    )


def test_the_potential_of_a_part_is_that_of_the_whole(market: Market) -> None:
    made = crashed(market)
    terms = Terms(*(np.array([value]) for value in (1e-4, 1e-3, 1.0, 0.0)))
    given = {
        "bars": 8,
        "gamma": 0.99,
        "terms": terms,
        "kind": np.zeros(len(made.of), np.int64),
        "leverage": 3.0,
    }
    part, whole = Hindsight(market, of=made.of, **given), Hindsight(market, **given)
    path = np.arange(len(made.of))
    row, short = made.market.paths[path, 0] + 40, np.full((len(path), 1), 0.5)
    np.testing.assert_array_equal(part(path, row, short), whole(made.of, row, short))
    assert np.ptp(part(path, row, short)) > 0


def test_learners_train_on_crashes_on_both_ways(market: Market) -> None:
    for name in ("ppo", "device_ppo"):
        agent: Any = agents.make(
            name,
            n_envs=8,
            n_steps=16,
            batch_size=64,
            hidden=8,
            imitate=0,
            counterfactual_rounds=0,
            crash_share=0.5,
            episode_days=20,
        )
        agent.learn(market, {}, steps=128, seed=0)
        assert agent.provenance.market == market.hash
        assert agent.model.get_env().batch.market.n_paths > market.n_paths


def test_a_span_without_room_says_so(market: Market) -> None:
    with pytest.raises(
        agents.AgentError,
        match=r"crash_share = 0.4: the training span has no day to begin an episode before",
    ):
        crashed(replace(market, paths=np.array([[0, 30]]), symbols=market.symbols[:1]))
