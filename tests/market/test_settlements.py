"""Settlements on the bars of a symbol."""

import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, layout
from fundenv.market.files.align import align
from tests.market.tables import START, bars, flat, frames, funding

HOUR = pd.Timedelta(hours=1)


def column(aligned, name):
    return aligned.bars[:, getattr(layout, name)]


@pytest.mark.parametrize("jitter_ms", [5, 59_000, -59_000])
def test_jitter_of_a_settlement_stamp_is_forgiven(jitter_ms):
    exact = flat(24)
    late = frames(
        exact.perp,
        exact.spot,
        exact.funding.assign(time=exact.funding["time"] + pd.Timedelta(jitter_ms, unit="ms")),
    )
    assert np.array_equal(align(late, venue="x").bars, align(exact, venue="x").bars, equal_nan=True)


def test_a_settlement_off_the_hour_is_an_error_that_asks_for_shorter_bars():
    late = flat(24).funding.assign(time=flat(24).funding["time"] + pd.Timedelta(minutes=2))
    for bar_ns in (HOUR.value, 4 * HOUR.value):
        with pytest.raises(
            DataError,
            match=r"row 0: settlement at 2024-01-01 00:02:00.* inside a bar of .h.*use shorter bar",
        ):
            align(frames(bars([100.0] * 24), bars([100.0] * 24), late), venue="x", bar_ns=bar_ns)


def test_settlements_inside_a_bar_are_summed_into_the_one_at_its_end():
    # every 2 h at rates 1, 2, .. bp; the bar from 00:00 to 08:00 holds those of 02:00, 04:00, 06:00
    # and, at its end, 08:00: 2 + 3 + 4 + 5 bp, paid by the position held during that bar
    paid = funding(np.arange(1, 13) * 1e-4, hours=2)
    a = align(
        frames(bars([100.0] * 24), bars([100.0] * 24), paid), venue="x", bar_ns=8 * HOUR.value
    )
    assert column(a, "SETTLE_RATE") == pytest.approx([1e-4, 14e-4, 30e-4])
    assert a.settlements.hours[1:].tolist() == [8.0, 8.0]
    assert any("6 settlement(s) inside bars of 8h are summed" in note for note in a.notes)


def test_the_sum_pays_what_each_settlement_paid_at_its_own_mark_price():
    # 1 bp of 100, 2 bp of 50 and 4 bp of 200 a coin: 0.01 + 0.01 + 0.08 = 0.10 in all
    paid = funding([1e-4, 1e-4, 2e-4, 4e-4], hours=2, mark_price=[80.0, 100.0, 50.0, 200.0])
    paid["time"] += 2 * HOUR  # 02:00, 04:00, 06:00, 08:00
    a = align(
        frames(bars([100.0] * 16), bars([100.0] * 16), paid.iloc[1:]),
        venue="x",
        bar_ns=8 * HOUR.value,
    )
    assert column(a, "SETTLE_PRICE").tolist() == [0.0, 200.0]
    assert column(a, "SETTLE_RATE")[1] * 200.0 == pytest.approx(0.10)


def test_the_sum_of_a_bar_is_not_known_before_the_bar_has_closed():
    paid = funding(np.arange(1, 13) * 1e-4, hours=2)
    whole = align(
        frames(bars([100.0] * 24), bars([100.0] * 24), paid), venue="x", bar_ns=8 * HOUR.value
    )
    changed = paid.assign(rate=paid["rate"].where(paid["time"] <= START + 8 * HOUR, 9e-3))
    other = align(
        frames(bars([100.0] * 24), bars([100.0] * 24), changed), venue="x", bar_ns=8 * HOUR.value
    )
    assert np.array_equal(other.bars[:2], whole.bars[:2], equal_nan=True)
    assert not np.array_equal(other.bars[2], whole.bars[2], equal_nan=True)


def test_two_settlements_on_one_bar_are_an_error():
    paid = funding([1e-4] * 3).iloc[[0, 1, 1, 2]].reset_index(drop=True)
    paid.loc[2, "time"] += pd.Timedelta(seconds=20)
    with pytest.raises(DataError, match="row 2: second settlement"):
        align(frames(bars([100.0] * 24), bars([100.0] * 24), paid), venue="x")


@pytest.mark.parametrize("hours", [1, 2, 4, 8])
def test_the_interval_is_read_from_the_stamps(hours):
    a = align(
        frames(
            bars([100.0] * 48), bars([100.0] * 48), funding([1e-4] * (48 // hours), hours=hours)
        ),
        venue="x",
    )
    assert np.isnan(a.settlements.hours[0])
    assert set(a.settlements.hours[1:]) == {float(hours)}
    assert np.flatnonzero(column(a, "SETTLE_PRICE")).tolist() == list(range(0, 48, hours))
    assert a.funded.all()


def test_an_interval_that_changes_is_followed():
    paid = pd.concat(
        [funding([1e-4] * 3), funding([2e-4] * 4, hours=4, start=START + 20 * HOUR)],
        ignore_index=True,
    )
    a = align(frames(bars([100.0] * 40), bars([100.0] * 40), paid), venue="x")
    assert a.settlements.hours[1:].tolist() == [8.0, 8.0, 4.0, 4.0, 4.0, 4.0]


def test_a_hole_in_the_funding_file_is_left_out_and_told():
    # settlements at 0 and 8, none at 16 and 24, then 32: bars that open from 16 to 31 have no known
    # funding
    paid = funding([1e-4] * 6).drop(index=[2, 3])
    a = align(frames(bars([100.0] * 48), bars([100.0] * 48), paid), venue="x")
    assert np.flatnonzero(~a.funded).tolist() == list(range(16, 32))
    # the wide spacing counts as the interval before
    assert a.settlements.hours[1:].tolist() == [8.0, 8.0, 8.0]
    assert any("exceed 8 h" in note for note in a.notes)
    assert any("16 bars without a settlement" in note for note in a.notes)
