"""The level of funding, scaled and shifted: what is paid, and what is observed."""

from dataclasses import replace

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.market import layout
from tests.markets import PLAIN_VENUE, bar, tape, wild_market

MARKET = wild_market(11, paths=6, length=120)
SETTINGS = {"episode": "1D", "decision_interval": "4h", "venue": PLAIN_VENUE}


def play(batch, steps=25):
    batch.reset(3)
    rows = []
    for k in range(steps):
        batch.step(np.random.default_rng(k).uniform(-1, 1, (batch.num_envs, 3)))
        rows.append(np.concatenate([batch.obs.ravel(), batch.reward, batch.ledger.ravel()]))
    return np.array(rows)


def test_funding_scale_is_the_market_with_scaled_rates():
    settings = SETTINGS | {"autoreset": "same_step"}
    by_param = Batch(5, market=MARKET, funding_scale=0.5, **settings)
    bars, features = MARKET.bars.copy(), MARKET.features.copy()
    bars[:, :, layout.SETTLE_RATE] *= 0.5
    features[:, :, [feature.name for feature in MARKET.table].index("funding_ewma_9")] *= 0.5
    by_market = Batch(5, market=replace(MARKET, bars=bars, features=features), **settings)
    plain = Batch(5, market=MARKET, **settings)
    expected = play(by_market)
    assert np.array_equal(play(by_param), expected)
    assert not np.array_equal(play(plain), expected)


def test_funding_shift_is_paid_in_proportion_to_the_interval():
    """A year of 8,760 hours: 0.876 a year is 1e-4 an hour. Settlements after 8 (none came before),
    2 and 4 hours at 1 bp each, short 1 base at 100.
    """
    hours = {3: 8, 5: 2, 9: 4}
    market = tape(
        *(
            bar(100.0, settle_rate=1e-4 * (k in hours), settle_price=100.0 * (k in hours))
            for k in range(12)
        )
    )
    batch = Batch(
        1,
        market=market,
        venue=PLAIN_VENUE,
        decision_interval="1h",
        episode=None,
        random_start=False,
        actions="target",
        funding_scale=2.0,
        funding_shift=0.876,
        fee_scale=0.0,
        cost_scale=0.0,
        initial_equity=200.0,
        cash_rate=0.0,
        keeper_interval=None,
    )
    batch.reset(0)
    received = {}
    for _ in range(11):
        batch.step(np.array([[0.0, 1.0, 1.0, 1.0]]))
        received[int(batch.store.episode[0, 3])] = batch.ledger[0, 2] / (
            -batch.audit()["account"]["perp"][0, 0] * 100.0
        )
    for row, rate in received.items():
        assert rate == pytest.approx(2e-4 + 1e-4 * hours[row] if row in hours else 0.0, abs=1e-6)


def test_the_observations_follow_the_level_of_funding():
    market = tape(*(bar(100.0) for _ in range(6)), deviation=0.5)  # funding_ewma_9 = 0.5 x 2 bp
    plain, moved = (
        Batch(1, market=market, venue=PLAIN_VENUE, decision_interval="1h", episode=None, **s)
        for s in ({}, {"funding_scale": 0.5, "funding_shift": 0.1095})
    )
    at = [c.name for c in plain.observation_table].index("funding_ewma_9")
    carry = [c.name for c in plain.observation_table].index("net_carry")
    before, after = plain.reset(0)[0].copy(), moved.reset(0)[0].copy()
    assert before[at] * 2.0 == pytest.approx(1.0)
    assert after[at] * 2.0 == pytest.approx(0.5 + 1.0)  # 0.1095 a year is 1 bp per 8 h
    assert (after[carry] - before[carry]) * 0.5 == pytest.approx(0.5 * 0.1095, rel=1e-4)
    others = [k for k in range(len(before)) if k not in (at, carry)]
    assert np.array_equal(before[others], after[others])
