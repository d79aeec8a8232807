"""Several symbols on one clock: every bar that any of them has, and no number from nowhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fundenv.market import Market, between, joint, layout, select, stack, synthetic_market

A, B = "SYNTH-BTC-0", "SYNTH-ETH-0"
PRICES = slice(0, 8)


def hours(count: int) -> pd.Timedelta:
    return pd.Timedelta(hours=count)


@pytest.fixture(scope="module")
def coins() -> Market:
    return stack(
        [synthetic_market(name, years=0.2, seed=k) for k, name in enumerate(("btc", "eth"))]
    )


def late_and_gone(coins: Market, first: str = "2020-01-11", end: str = "2020-02-01") -> Market:
    return joint(
        stack([select(coins, [A]), between(select(coins, [B]), first, end)]),
        [A, B],
    )


def test_it_has_every_bar_of_any_and_the_own_numbers_of_each(coins) -> None:
    both = late_and_gone(coins)
    times = both.times(0)
    assert len(times) == len(coins.times(0))
    for a, path in ((0, 0), (1, 1)):
        rows = np.flatnonzero(both.bars[:, a, layout.HALTED] == 0.0)
        source = np.searchsorted(coins.times(path), times[rows]) + coins.paths[path, 0]
        assert np.array_equal(both.bars[rows, a], coins.bars[source, 0])
        assert np.array_equal(both.features[rows, a], coins.features[source, 0])
    kept = times[both.bars[:, 1, layout.HALTED] == 0.0]
    assert (str(kept[0]), str(kept[-1])) == (
        "2020-01-11 00:00:00+00:00",
        "2020-01-31 23:00:00+00:00",
    )


def test_a_coin_is_not_listed_then_listed_then_halted_for_a_day_then_delisted(coins) -> None:
    both = late_and_gone(coins)
    state, times = both.bars[:, 1, layout.HALTED], both.times(0)
    first, last = 10 * 24, int(np.flatnonzero(state == 0.0)[-1])
    assert str(times[first]) == "2020-01-11 00:00:00+00:00"
    assert (state[:first] == layout.UNLISTED).all()
    assert (state[last + 1 : last + 25] == layout.NO_PRICE).all()
    assert (state[last + 25 :] == layout.UNLISTED).all()
    gone = both.bars[last + 1 :, 1]
    close = both.bars[last, 1, [layout.SPOT_CLOSE, layout.PERP_CLOSE, layout.MARK_CLOSE]]
    assert (gone[:, [0, 1]] == close[0]).all()
    assert (gone[:, [2, 3]] == close[1]).all()
    assert (gone[:, 4:8] == close[2]).all()
    assert (gone[:, [layout.SETTLE_PRICE, layout.SPOT_VOLUME, layout.PERP_VOLUME]] == 0.0).all()
    assert (both.features[:first, 1] == 0.0).all()
    assert np.array_equal(both.features[last + 24, 1], both.features[last, 1])
    assert (both.features[last + 25 :, 1] == 0.0).all()
    assert both.has_listings
    assert not coins.has_listings
    assert "delisted at 2020-02-02 00:00" in both.notes[-1]


def test_a_coin_that_comes_back_is_only_halted_in_a_short_absence(coins) -> None:
    parts = [
        between(select(coins, [B]), None, "2020-02-01"),
        between(select(coins, [B]), "2020-02-01 20:00", None),
    ]
    state = joint(stack([select(coins, [A]), *parts]), [A, B]).bars[:, 1, layout.HALTED]
    assert sorted(set(state.tolist())) == [layout.TRADED, layout.NO_PRICE]
    assert (state == layout.NO_PRICE).sum() == 20


def test_before_its_first_bar_a_coin_shows_nothing_of_itself(coins) -> None:
    first = both_first = late_and_gone(coins)
    other = replace(coins, bars=coins.bars * 3.0, features=coins.features * 0.5)
    both_first, other_first = first, late_and_gone(other)
    lead = both_first.bars[:, 1, layout.HALTED] == layout.UNLISTED
    lead[10 * 24 :] = False
    assert lead.sum() > 200
    assert np.array_equal(both_first.bars[lead, 1], other_first.bars[lead, 1])
    assert np.array_equal(both_first.features[lead, 1], other_first.features[lead, 1])


def test_no_row_depends_on_later_ones(coins) -> None:
    """The history cut anywhere, so also within the day after the last bar, gives the same rows."""
    whole = late_and_gone(coins)
    for end in (
        "2020-01-05",
        "2020-01-11 03:00",
        "2020-01-25",
        "2020-02-01 07:00",
        "2020-02-02 05:00",
    ):
        cut = stack([between(select(coins, [name]), None, end) for name in (A, B)])
        if end < "2020-01-11 02":
            continue  # the coin has no bar yet, so nobody knows its name
        parts = [select(cut, [A]), between(select(cut, [B]), "2020-01-11", "2020-02-01")]
        known = joint(stack(parts), [A, B])
        rows = len(known.bars)
        assert np.array_equal(known.bars, whole.bars[:rows]), end
        assert np.array_equal(known.features, whole.features[:rows]), end
