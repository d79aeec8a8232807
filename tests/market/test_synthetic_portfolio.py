"""Many made-up coins: what they share, and that they come and go."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fundenv.envs.portfolio import FundingPortfolioEnv
from fundenv.market import (
    SplitError,
    between,
    bootstrap_market,
    joint,
    layout,
    listed,
    splice,
    stack,
    synthetic_market,
    synthetic_portfolio,
)
from fundenv.market.join import singles
from fundenv.market.synthetic.ratios import TapeError
from fundenv.market.synthetic.statistics import pair_facts

WHOLE = synthetic_portfolio(5, years=0.6, seed=3, late=0.0, gone=0.0)


def test_coins_share_a_factor_of_funding_as_on_the_venue() -> None:
    """Means over 4 paths of 3 years. Recorded pairs of five coins, 2022-01 to 2025-06: .55 to .74
    of rates, .62 to .85 of returns.
    """
    market = synthetic_portfolio(5, years=3, paths=4, seed=0, late=0.0, gone=0.0)
    for name, low, high in (("funding_correlation", 0.5, 0.8), ("return_correlation", 0.6, 0.86)):
        for pair in itertools.combinations(range(5), 2):
            mean = np.mean([pair_facts(market, path, pair)[name] for path in range(4)])
            assert low < mean < high, (name, pair, mean)


@pytest.mark.parametrize("coins", [2, 32])
def test_it_has_as_many_coins_as_asked_for(coins) -> None:
    market = synthetic_portfolio(coins, years=0.1, seed=1)
    assert market.n_assets == coins == len(set(market.symbols[0]))
    with pytest.raises(ValueError, match=r"coins = 33; expected 2 \.\. 32"):
        synthetic_portfolio(33)


def test_a_coin_does_not_depend_on_how_many_others_there_are() -> None:
    fewer = synthetic_portfolio(3, years=0.6, seed=3, late=0.0, gone=0.0)
    assert np.array_equal(fewer.bars, WHOLE.bars[:, :3])


def test_listings_come_from_the_seed_and_the_first_two_coins_stay() -> None:
    market = synthetic_portfolio(12, years=2, seed=2, late=0.5, gone=0.5)
    state = market.bars[:, :, layout.HALTED]
    assert (state[:, :2] == layout.TRADED).all()
    late = (state[0] == layout.UNLISTED).sum()
    gone = (state[-1] != layout.TRADED).sum()
    assert late >= 2
    assert gone >= 2
    assert ((state == layout.TRADED).sum(axis=0) >= 60 * 24).all()
    again = synthetic_portfolio(12, years=2, seed=2, late=0.5, gone=0.5)
    assert again.hash == market.hash
    other = synthetic_portfolio(12, years=2, seed=2, late=0.5, gone=0.5, first_path=1)
    assert not np.array_equal(other.bars[:, :, layout.HALTED], state)
    with pytest.raises(ValueError, match=r"late = 2\.0; expected a share"):
        synthetic_portfolio(3, late=2.0)


def test_a_coin_keeps_its_numbers_while_it_is_listed() -> None:
    market = synthetic_portfolio(5, years=0.6, seed=3, late=1.0, gone=1.0)
    rows = market.bars[:, :, layout.HALTED] == layout.TRADED
    assert 0.2 < rows[:, 2:].mean() < 0.9
    assert np.array_equal(market.bars[rows], WHOLE.bars[rows])
    assert np.array_equal(market.features[rows], WHOLE.features[rows])


def test_spans_of_listing_may_be_given() -> None:
    name = WHOLE.symbols[0][2]
    span = pd.Timestamp("2020-02-01", tz="UTC"), pd.Timestamp("2020-03-01", tz="UTC")
    market = listed(WHOLE, {name: span})
    times = market.times(0)[market.bars[:, 2, layout.HALTED] == layout.TRADED]
    assert (times[0], times[-1]) == (span[0], span[1] - pd.Timedelta(hours=1))
    assert np.array_equal(market.bars[:, [0, 1, 3, 4]], WHOLE.bars[:, [0, 1, 3, 4]])
    with pytest.raises(SplitError, match="several assets"):
        listed(singles(WHOLE)[0], {})


def test_the_bootstrap_of_several_coins_keeps_their_common_factor_and_lets_them_come_and_go() -> (
    None
):
    source = synthetic_portfolio(4, years=2, seed=5, late=0.0, gone=0.0)
    made = bootstrap_market(source, years=2, seed=1, late=1.0, gone=1.0)
    state = made.bars[:, :, layout.HALTED]
    assert (state[0, 2:] == layout.UNLISTED).all()
    assert (state[-1, 2:] != layout.TRADED).all()
    pair = (0, 1)
    recorded, drawn = (pair_facts(m, 0, pair)["funding_correlation"] for m in (source, made))
    assert drawn == pytest.approx(recorded, abs=0.15)


def test_the_bootstrap_draws_only_hours_in_which_all_coins_are_listed() -> None:
    source = synthetic_portfolio(4, years=1, seed=5, late=1.0, gone=0.0)
    lead = (source.bars[:, :, layout.HALTED] == layout.UNLISTED).any(axis=1)
    assert lead.mean() > 0.2
    made = bootstrap_market(source, years=0.5, seed=1)
    assert not made.has_listings
    moves = np.abs(np.diff(np.log(made.bars[:, :, layout.SPOT_CLOSE]), axis=0))
    assert moves.max() < 0.5  # no step from the price 1 of a coin that is not listed
    rates = set(np.round(source.bars[~lead, 2, layout.SETTLE_RATE], 12))
    assert set(np.round(made.bars[:, 2, layout.SETTLE_RATE], 12)) <= rates


def test_a_shock_hits_the_coins_that_are_listed_then() -> None:
    market = synthetic_portfolio(8, years=0.8, seed=3, late=1.0, gone=0.6)
    listed = market.bars[:, :, layout.HALTED] != layout.UNLISTED
    shocked = splice(market, "2022-11-09", seed=0)
    row = int((shocked.bars != market.bars).any(axis=(1, 2)).argmax()) - 1
    hit = listed[row]
    assert 2 <= hit.sum() < 8
    assert not (listed[row] & ~listed[-1]).all()
    assert np.array_equal(shocked.bars[: row + 1], market.bars[: row + 1])
    assert np.array_equal(shocked.features[: row + 1], market.features[: row + 1])
    assert np.array_equal(shocked.bars[:, ~hit], market.bars[:, ~hit])
    codes = layout.HALTED
    assert np.array_equal(shocked.bars[..., codes] == layout.UNLISTED, ~listed)
    fall = shocked.bars[row + 12, hit, layout.SPOT_CLOSE] / market.bars[row, hit, layout.SPOT_CLOSE]
    assert fall == pytest.approx(fall[0])
    assert fall[0] < 0.95
    # each as it would be alone, and what is left after a delisting is its last price
    alone = splice(singles(market)[0], "2022-11-09", at=row)
    assert np.array_equal(shocked.bars[:, 0], alone.bars[:, 0])
    assert np.array_equal(shocked.features[:, 0], alone.features[:, 0])
    gone = np.flatnonzero(hit & ~listed[-1])
    assert len(gone)
    for coin in gone:
        end = int(np.flatnonzero(listed[:, coin]).max())
        prices = shocked.bars[end:, coin, layout.SPOT_CLOSE]
        assert prices == pytest.approx(prices[0])
        before = market.bars[end, coin, layout.SPOT_CLOSE]
        assert prices[0] != pytest.approx(before)


def test_a_coin_that_comes_back_after_a_shock_follows_from_its_last_price() -> None:
    whole = synthetic_portfolio(3, years=0.5, seed=3, late=0.0, gone=0.0)
    times, name = whole.times(0), whole.symbols[0][2]
    first, later = (
        listed(whole, {name: span}) for span in ((None, times[2000]), (times[3000], None))
    )
    away = (first.bars[:, 2, layout.HALTED] == layout.UNLISTED) & (
        later.bars[:, 2, layout.HALTED] == layout.UNLISTED
    )
    back = later.bars[:, 2, layout.HALTED] != layout.UNLISTED
    bars, features = first.bars.copy(), first.features.copy()
    bars[back, 2], features[back, 2] = later.bars[back, 2], later.features[back, 2]
    market = replace(first, bars=bars, features=features)
    shocked = splice(market, "2022-11-09", at=1000)
    price = layout.SPOT_CLOSE
    moved = shocked.bars[away, 2, price] / market.bars[away, 2, price]
    assert moved == pytest.approx(moved[0])
    assert shocked.bars[back, 2, price] / market.bars[back, 2, price] == pytest.approx(moved[0])
    worth = layout.PERP_VOLUME
    assert shocked.bars[back, 2, worth] * moved[0] == pytest.approx(market.bars[back, 2, worth])
    assert np.array_equal(shocked.features[back, 2], market.features[back, 2])


def test_a_shock_just_after_a_listing_is_refused() -> None:
    market = synthetic_portfolio(5, years=0.8, seed=3, late=1.0, gone=0.0)
    start = market.bars[:, 2:, layout.HALTED] != layout.UNLISTED
    rows = start.argmax(axis=0)
    coin = int(np.argmax(rows > 24 * 40))
    with pytest.raises(TapeError, match=r"is listed or delisted within 31 days before 2022-11-09"):
        splice(market, "2022-11-09", at=int(rows[coin]) + 24)


def test_an_account_walks_through_listings_to_the_end() -> None:
    coins = synthetic_portfolio(5, years=0.6, seed=3, late=1.0, gone=1.0)
    env = FundingPortfolioEnv(
        market=coins, episode=None, random_start=False, dials=("carry",), leverage=1.0
    )
    env.reset(seed=0)
    closed, truncated = 0, False
    while not truncated:
        _, _, terminated, truncated, info = env.step(np.full(5, 0.2, np.float32))
        assert not terminated
        closed += info["delisted"]
    assert closed == 3


def test_real_coins_of_different_age_share_one_clock() -> None:
    young = between(synthetic_market("alt", years=0.3, seed=2), "2020-02-10", None)
    both = joint(
        stack([synthetic_market("btc", years=0.3, seed=1), young]), ["SYNTH-BTC-0", "SYNTH-ALT-0"]
    )
    assert len(both.bars) == len(singles(both)[0].bars)
    assert both.bars[0, 1, layout.HALTED] == layout.UNLISTED
