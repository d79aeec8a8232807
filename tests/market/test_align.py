import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, layout
from fundenv.market.files.align import align
from tests.market.tables import START, bars, flat, frames, funding, synthetic

HOUR = pd.Timedelta(hours=1)


def column(aligned, name):
    return aligned.bars[:, getattr(layout, name)]


def test_prices_volumes_and_settlements_land_in_their_columns():
    # spot 100, 110, 121, ..: opens at the close before; perp 1 % above; settlements at 00:00 and
    # 02:00 on the opens of bars 0 and 2
    spot = bars([100.0, 110.0, 121.0, 133.1], volume=[5.0, 6.0, 7.0, 8.0])
    perp = bars([101.0, 111.1, 122.21, 134.431], volume=[50.0, 60.0, 70.0, 80.0])
    mark = bars([100.5, 110.5, 121.5, 133.5]).drop(columns="volume")
    a = align(frames(perp, spot, funding([1e-4, -2e-4], hours=2), mark=mark), venue="binance")
    assert column(a, "SPOT_OPEN").tolist() == [100.0, 100.0, 110.0, 121.0]
    assert column(a, "SPOT_CLOSE").tolist() == [100.0, 110.0, 121.0, 133.1]
    assert column(a, "PERP_OPEN").tolist() == [101.0, 101.0, 111.1, 122.21]
    assert column(a, "PERP_CLOSE").tolist() == [101.0, 111.1, 122.21, 134.431]
    assert column(a, "MARK_OPEN").tolist() == [100.5, 100.5, 110.5, 121.5]
    assert column(a, "MARK_CLOSE").tolist() == [100.5, 110.5, 121.5, 133.5]
    assert column(a, "MARK_HIGH").tolist() == pytest.approx([101.505, 111.605, 122.715, 134.835])
    assert column(a, "MARK_LOW").tolist() == pytest.approx([99.495, 99.495, 109.395, 120.285])
    assert column(a, "SETTLE_RATE").tolist() == [1e-4, 0.0, -2e-4, 0.0]
    # no published price: mark at the open
    assert column(a, "SETTLE_PRICE").tolist() == [100.5, 0.0, 110.5, 0.0]
    assert column(a, "SPOT_VOLUME").tolist() == [5.0, 6.0, 7.0, 8.0]
    assert column(a, "SPOT_DAY_VOLUME").tolist() == [0.0, 5.0, 11.0, 18.0]  # before the bar opens
    assert column(a, "PERP_DAY_VOLUME").tolist() == [0.0, 50.0, 110.0, 180.0]
    assert not column(a, "HALTED").any()


def test_day_volume_covers_exactly_the_24_hours_before():
    volume = np.arange(1.0, 31.0)
    a = align(
        frames(
            bars([100.0] * 30, volume=volume), bars([100.0] * 30, volume=1.0), funding([1e-4] * 4)
        ),
        venue="x",
    )
    assert column(a, "PERP_DAY_VOLUME")[29] == pytest.approx(volume[5:29].sum())


def test_published_settlement_price_comes_first():
    paid = funding([1e-4] * 3, mark_price=[np.nan, 99.0, 0.0])
    a = align(frames(bars([101.0] * 24), bars([100.0] * 24), paid), venue="x")
    assert column(a, "SETTLE_PRICE")[[0, 8, 16]].tolist() == [101.0, 99.0, 101.0]


def test_sigma_is_the_mean_square_return_known_at_the_open():
    # one return of ln 1.1 inside bar 1; known from the open of bar 2 on, where it is the only one;
    # then zeros with half-life 72 bars
    a = align(
        frames(
            bars([110.0] * 6), bars([100.0, 110.0, 110.0, 110.0, 110.0, 110.0]), funding([1e-4])
        ),
        venue="x",
    )
    sigma = column(a, "SIGMA_DAY")
    assert np.isnan(sigma[:2]).all()
    assert sigma[2] == pytest.approx(np.log(1.1) * np.sqrt(24))
    w = 0.5 ** (1 / 72)
    assert sigma[4] == pytest.approx(np.log(1.1) * np.sqrt(24 * w**2 / (1 + w + w**2)))


def test_mark_prices_that_are_too_coarse_are_passed_over_and_told():
    coarse = bars([100.5] * 3, hours=8).drop(columns="volume")
    plain, marked = (
        align(
            frames(bars([101.0] * 24), bars([100.0] * 24), funding([1e-4] * 3), mark=m), venue="x"
        )
        for m in (None, coarse)
    )
    assert np.array_equal(plain.bars, marked.bars, equal_nan=True)
    assert any("mark bars of 8h do not nest in bars of 1h" in note for note in marked.notes)


def test_hourly_bars_merge_into_four_hours():
    # closes 1..8: open first, high max, low min, close last, volume sum
    spot = bars(np.arange(1.0, 9.0), volume=np.arange(1.0, 9.0))
    perp = bars([4.04, 8.08], hours=4, volume=3.0)
    a = align(frames(perp, spot, funding([1e-4])), venue="x")
    assert a.bar_ns == 4 * HOUR.value
    assert column(a, "SPOT_OPEN").tolist() == [1.0, 4.0]
    assert column(a, "SPOT_CLOSE").tolist() == [4.0, 8.0]
    assert column(a, "SPOT_VOLUME").tolist() == [10.0, 26.0]
    assert a.basis.tolist() == pytest.approx([0.01, 0.01])
    assert any("spot bars of 1h merged into 4h" in note for note in a.notes)


def test_high_and_low_of_merged_bars_are_the_extremes():
    perp = bars([100.0, 130.0, 80.0, 110.0])
    a = align(frames(perp, bars([100.0] * 4), funding([1e-4])), venue="x", bar_ns=4 * HOUR.value)
    assert column(a, "MARK_HIGH")[0] == pytest.approx(131.3)  # 130 x 1.01
    assert column(a, "MARK_LOW")[0] == pytest.approx(79.2)  # 80 x 0.99


def test_a_merged_bar_with_a_missing_hour_is_halted():
    spot = bars(np.arange(1.0, 13.0)).drop(index=5)
    a = align(frames(bars([4.0, 8.0, 12.0], hours=4), spot, funding([1e-4, 1e-4])), venue="x")
    assert column(a, "HALTED").tolist() == [0.0, 1.0, 0.0]
    assert column(a, "SPOT_CLOSE").tolist() == [4.0, 4.0, 12.0]


def test_a_spot_gap_halts_and_carries_and_leaves_the_basis_alone():
    # spot is missing in bars 2 and 3 while the perp runs from 101 to 120
    spot = bars([100.0, 100.0, 7.0, 7.0, 120.0, 120.0]).drop(index=[2, 3])
    spot.loc[4, ["open", "low"]] = 119.0
    perp = bars([101.0, 101.0, 110.0, 115.0, 120.0, 121.2])
    a = align(frames(perp, spot, funding([1e-4])), venue="x")
    assert column(a, "HALTED").tolist() == [0, 0, 1, 1, 0, 0]
    assert column(a, "SPOT_OPEN").tolist() == [100.0, 100.0, 100.0, 100.0, 119.0, 120.0]
    assert column(a, "SPOT_CLOSE").tolist() == [100.0, 100.0, 100.0, 100.0, 120.0, 120.0]
    # the leg that trades keeps its own price
    assert column(a, "PERP_CLOSE").tolist() == [101.0, 101.0, 110.0, 115.0, 120.0, 121.2]
    # nothing fills in a halted bar
    assert column(a, "PERP_VOLUME").tolist() == [10.0, 10.0, 0.0, 0.0, 10.0, 10.0]
    # but it was traded
    assert column(a, "PERP_DAY_VOLUME").tolist() == [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    assert a.basis.tolist() == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.0, 0.01])
    assert any("2 bars in 1 spans have no genuine spot price" in note for note in a.notes)


def test_a_perp_gap_takes_the_mark_price_or_the_last_close():
    perp = bars([101.0, 102.0, 1.0, 1.0, 105.0]).drop(index=[2, 3])
    perp.loc[4, ["open", "low"]] = [104.0, 103.0]
    mark = bars([101.0, 102.0, 103.0, 1.0, 105.0]).drop(index=3).drop(columns="volume")
    mark.loc[4, ["open", "low"]] = [104.5, 103.0]
    a = align(frames(perp, bars([100.0] * 5), funding([1e-4]), mark=mark), venue="x")
    assert column(a, "HALTED").tolist() == [0, 0, 1, 1, 0]
    assert column(a, "PERP_OPEN").tolist() == [101.0, 101.0, 102.0, 103.0, 104.0]
    assert column(a, "PERP_CLOSE").tolist() == [101.0, 102.0, 103.0, 103.0, 105.0]
    assert column(a, "MARK_CLOSE").tolist() == [101.0, 102.0, 103.0, 103.0, 105.0]
    assert (
        column(a, "MARK_HIGH") >= np.maximum(column(a, "MARK_OPEN"), column(a, "MARK_CLOSE"))
    ).all()
    assert (
        column(a, "MARK_LOW") <= np.minimum(column(a, "MARK_OPEN"), column(a, "MARK_CLOSE"))
    ).all()


def test_a_bar_without_trades_is_halted():
    a = align(
        frames(bars([101.0] * 4, volume=[1.0, 1.0, 0.0, 1.0]), bars([100.0] * 4), funding([1e-4])),
        venue="x",
    )
    assert column(a, "HALTED").tolist() == [0, 0, 1, 0]


def test_missing_volumes_are_refused_unless_allowed():
    bare = frames(
        bars([101.0] * 8).drop(columns="volume"),
        bars([100.0] * 8),
        funding([1e-4]),
        names={"perp": "v_XYZ_perp_1h.parquet"},
    )
    with pytest.raises(
        DataError, match=r"v_XYZ_perp_1h\.parquet: column volume is missing.*volume_required=False"
    ):
        align(bare, venue="x")
    holes = frames(bars([101.0] * 8, volume=[1.0, np.nan] * 4), bars([100.0] * 8), funding([1e-4]))
    with pytest.raises(DataError, match="XYZ perp: column volume, row 1: empty"):
        align(holes, venue="x")
    a = align(bare, venue="x", volume_required=False)
    assert not column(a, "PERP_VOLUME").any()
    assert not column(a, "HALTED").any()
    assert any("unknown" in note for note in a.notes)


def test_known_defects_are_masked_by_venue_kind_step_and_time():
    start = pd.Timestamp("2024-10-28 18:00", tz="UTC")
    perp, spot = bars([101.0] * 8, start=start), bars([100.0] * 8, start=start)
    paid = funding([1e-4], start=start)
    paid = pd.concat([paid, funding([1e-4], start=start + 8 * HOUR)], ignore_index=True)
    assert column(align(frames(perp, spot, paid), venue="binance"), "HALTED").tolist() == [
        0,
        0,
        1,
        1,
        0,
        0,
        0,
        0,
    ]
    assert not column(align(frames(perp, spot, paid), venue="other"), "HALTED").any()
    assert not column(align(frames(perp, spot, paid, "SYNTH-X"), venue="binance"), "HALTED").any()


def test_bars_that_do_not_fit_are_errors():
    with pytest.raises(DataError, match="do not divide a day"):
        align(flat(24), venue="x", bar_ns=5 * HOUR.value)
    with pytest.raises(DataError, match="bars of 4h cannot make bars of 1h"):
        align(
            frames(bars([1.0] * 6, hours=4), bars([1.0] * 24), funding([1e-4] * 3)),
            venue="x",
            bar_ns=HOUR.value,
        )
    shifted = bars([1.0] * 6).assign(
        time=lambda t: t["time"].where(t.index != 3, t["time"] + pd.Timedelta(minutes=7))
    )
    with pytest.raises(DataError, match=r"row 3.*off the 1 h grid"):
        align(frames(shifted, bars([1.0] * 6), funding([1e-4])), venue="x")
    with pytest.raises(DataError, match="no bar in common"):
        align(
            frames(bars([1.0] * 6, start=START + 10 * HOUR), bars([1.0] * 6), funding([1e-4] * 3)),
            venue="x",
        )


def test_the_grid_is_the_span_that_both_legs_reach():
    a = align(
        frames(bars([101.0] * 10, start=START + 2 * HOUR), bars([100.0] * 9), funding([1e-4] * 2)),
        venue="x",
    )
    assert pd.Timestamp(a.open_ns[0], tz="UTC") == START + 2 * HOUR
    assert pd.Timestamp(a.open_ns[-1], tz="UTC") == START + 8 * HOUR


def test_merging_the_hourly_synthetic_symbol_equals_generating_four_hours():
    merged, direct = (
        align(synthetic(), venue="x", bar_ns=4 * HOUR.value),
        align(synthetic(bar_hours=4), venue="x"),
    )
    assert np.allclose(merged.bars, direct.bars, equal_nan=True, rtol=1e-12)
