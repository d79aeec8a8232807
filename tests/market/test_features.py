"""Each feature against arithmetic done by hand or by a slow loop."""

import numpy as np
import pandas as pd
import pytest

from fundenv.market import FEATURES, build_market, feature_table
from fundenv.market.build import scaled
from fundenv.market.features import extra_features, raw_features
from fundenv.market.files.align import align
from fundenv.venues import load_venue
from tests.market.tables import START, bars, frames, funding, synthetic

BINANCE = load_venue("binance")
HOUR = pd.Timedelta(hours=1)
ORDER = (
    "funding_last funding_ewma_3 funding_ewma_9 funding_ewma_21 funding_ewma_90 funding_fr3"
    " funding_fr14 funding_divergence funding_z funding_persistence funding_estimate basis"
    " basis_deviation rsi volatility_1d volatility_7d volatility_30d return_1d return_3d return_7d"
    " return_14d volume_ratio spread_proxy settlement_sin settlement_cos funding_market"
).split()


def raw_of(table, **options):
    return raw_features(align(table, venue="x", **options), BINANCE)


def paid(rates, n_bars, hours=8.0):
    return frames(bars([100.0] * n_bars), bars([100.0] * n_bars), funding(rates, hours=hours))


def test_names_and_order_are_fixed_and_scales_are_declared():
    assert [f.name for f in FEATURES] == ORDER
    assert all(
        f.low >= -10 and f.high <= 10 and f.scale > 0 and f.unit and f.meaning for f in FEATURES
    )


def test_a_settlement_enters_the_row_after_the_instant_at_which_a_bar_closes():
    # settlements at 0, 8 and 16 h with 1, 2 and 3 bp; the first is not used, as its interval is
    # unknown
    last = raw_of(paid([1e-4, 2e-4, 3e-4], 24))["funding_last"]
    assert np.isnan(last[:8]).all()  # row 7 closes at 8 h: the second settlement is not in it
    assert last[8:16] == pytest.approx(2.0)  # row 15 closes at 16 h
    assert last[16:] == pytest.approx(3.0)


@pytest.mark.parametrize("hours", [1, 2, 4, 8])
def test_rates_are_stated_per_8_hours(hours):
    assert raw_of(paid([1e-4] * (24 // hours), 24, hours))["funding_last"][-1] == pytest.approx(
        8 / hours
    )


def test_ewma_starts_at_the_first_rate_and_forgets_with_its_span():
    # span 3: weight 2/4; 2, then .5 x 4 + .5 x 2 = 3, then .5 x 8 + .5 x 3 = 5.5; known once 3
    # settlements are
    mean = raw_of(paid([1e-4, 2e-4, 4e-4, 8e-4], 32))["funding_ewma_3"]
    assert np.isnan(mean[:24]).all()
    assert mean[24:] == pytest.approx(5.5)


def test_fr3_annualises_what_was_settled_in_three_days():
    # 1 bp each 8 h = 0.0001 x 3 x 365 = 0.1095 a year; with the last of nine settlements at 10 bp:
    # (8 x 1 + 10) / 9 x 3 x 365 bp
    rates = [1e-4] * 11
    assert raw_of(paid(rates, 88))["funding_fr3"][-1] == pytest.approx(0.1095)
    rates[-1] = 1e-3
    assert raw_of(paid(rates, 88))["funding_fr3"][-1] == pytest.approx(18e-4 / 9 * 1095)
    assert raw_of(paid([1e-4] * 22, 88, hours=4))["funding_fr3"][-1] == pytest.approx(0.219)


def test_divergence_z_and_persistence_against_loops():
    table = synthetic()
    raw = raw_of(table)
    rate = table.funding["rate"].to_numpy()[1:] * 1e4
    # index into `rate`; its first row is the bar that opens at the settlement, 8 h each after the
    # first
    for settled in (91, 150, 200, 300):
        row = 8 * (settled + 1)
        window = rate[settled - 89 : settled + 1]
        assert raw["funding_z"][row] == pytest.approx(
            (window[-1] - window.mean()) / window.std(ddof=1)
        )
        count = 0
        while count <= settled and np.sign(rate[settled - count]) == np.sign(rate[settled]):
            count += 1
        assert raw["funding_persistence"][row] == np.sign(rate[settled]) * count
        fr14 = rate[settled - 41 : settled + 1].mean() * 1e-4 * 1095
        assert raw["funding_fr14"][row] == pytest.approx(fr14)
        assert raw["funding_divergence"][row] == pytest.approx(raw["funding_fr3"][row] - fr14)


def test_z_is_zero_where_all_rates_are_equal():
    assert raw_of(paid([1e-4] * 95, 760))["funding_z"][-1] == 0.0


def test_estimate_weighs_closes_since_the_settlement_and_clamps():
    # basis 10, 20, 30 bp in the bars after the settlement at 0 h and 8 h. Premia: 10; (10 + 2x20)/3
    # = 16.67; (10 + 40 + 90)/6 = 23.33. rate = premium - 5 bp (interest 1, clamp 5). Settlement
    # every 8 h, eight bars each.
    basis = np.tile([10.0, 20.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0], 3)
    estimate = raw_of(
        frames(bars(100 * (1 + basis * 1e-4)), bars([100.0] * 24), funding([1e-4] * 3))
    )["funding_estimate"]
    assert estimate[8:11] == pytest.approx([5.0, 50 / 3 - 5, 140 / 6 - 5])
    weighted = (10 + 2 * 20 + 30 * sum(range(3, 9))) / 36
    # closes at the instant of settlement: what is settled there
    assert estimate[15] == pytest.approx(weighted - 5)
    assert estimate[16] == pytest.approx(5.0)  # anew


@pytest.mark.parametrize(
    ("basis_bp", "expected"),
    [
        (3.0, 1.0),
        (-3.9, 1.0),
        (5.9, 1.0),
        (7.0, 2.0),
        (-6.0, -1.0),
        (900.0, 200.0),
        (-900.0, -200.0),
    ],
)
def test_estimate_follows_the_clamp_and_the_cap(basis_bp, expected):
    # inside -4 .. 6 bp the interest of 1 bp, outside premium -+ 5; the default cap is 2 %
    perp = bars([100 * (1 + basis_bp * 1e-4)] * 24)
    assert raw_of(frames(perp, bars([100.0] * 24), funding([1e-4] * 3)))["funding_estimate"][
        -1
    ] == pytest.approx(expected)


def test_estimate_of_a_shorter_interval_is_capped_per_settlement():
    perp = bars([100 * 1.09] * 24)
    estimate = raw_of(frames(perp, bars([100.0] * 24), funding([1e-4] * 24, hours=1)))[
        "funding_estimate"
    ]
    # (900 - 5) / 8 = 112 bp an hour, under the cap of 200 bp
    assert estimate[-1] == pytest.approx(895.0)


def test_basis_deviation_is_from_the_mean_of_seven_days():
    basis = np.arange(200) * 0.1
    raw = raw_of(frames(bars(100 * (1 + basis * 1e-4)), bars([100.0] * 200), funding([1e-4] * 25)))
    assert raw["basis"][-1] == pytest.approx(19.9)
    assert np.isnan(raw["basis_deviation"][166])
    assert raw["basis_deviation"][199] == pytest.approx(19.9 - basis[32:200].mean())


def test_returns_volatility_and_spread():
    # spot grows by 1 % an hour
    close = 100 * 1.01 ** np.arange(400)
    table = frames(bars(close), bars(close), funding([1e-4] * 50))
    raw = raw_of(table)
    g = np.log(1.01)
    assert raw["return_1d"][-1] == pytest.approx(24 * g)
    assert raw["return_14d"][-1] == pytest.approx(336 * g)
    assert raw["volatility_1d"][-1] == pytest.approx(g * np.sqrt(8760))
    assert raw["volatility_7d"][-1] == pytest.approx(g * np.sqrt(8760))
    # high 1.01 x close, low 0.99 x open = 0.99 / 1.01 x close
    assert raw["spread_proxy"][-1] == pytest.approx((1.01 - 0.99 / 1.01) * 1e4)
    four = raw_of(table, bar_ns=4 * HOUR.value)
    assert four["return_3d"][-1] == pytest.approx(72 * g)
    assert four["volatility_7d"][-1] == pytest.approx(4 * g * np.sqrt(8760 / 4))


def test_rsi_is_wilders_on_completed_4_hour_closes():
    raw = raw_of(synthetic())
    close = synthetic().spot["close"].to_numpy()[3::4]
    change = np.diff(close)
    gain, loss = max(change[0], 0.0), max(-change[0], 0.0)
    for step in change[1:100]:
        gain, loss = gain + (max(step, 0.0) - gain) / 14, loss + (max(-step, 0.0) - loss) / 14
    row = 4 * 101 - 1  # the bar that closes with 4-hour close number 100
    assert raw["rsi"][row] == pytest.approx(100 - 100 / (1 + gain / loss) - 50)
    assert (raw["rsi"][row : row + 4] == raw["rsi"][row]).all()
    assert raw["rsi"][row + 4] != raw["rsi"][row]


def test_rsi_is_neutral_where_nothing_moves_and_extreme_in_a_trend():
    assert raw_of(paid([1e-4] * 12, 96))["rsi"][-1] == 0.0
    up = bars(100.0 + np.arange(96))
    assert raw_of(frames(up, up, funding([1e-4] * 12)))["rsi"][-1] == pytest.approx(50.0)


def test_volume_ratio_is_the_day_over_the_mean_of_thirty():
    # 10 units at 100 + 10 at 100 an hour; the last day threefold: log(3 / ((29 + 3) / 30))
    volume = np.r_[np.full(29 * 24, 10.0), np.full(24, 30.0)]
    table = frames(
        bars([100.0] * 720, volume=volume), bars([100.0] * 720, volume=volume), funding([1e-4] * 90)
    )
    assert raw_of(table)["volume_ratio"][-1] == pytest.approx(np.log(3 / (32 / 30)))


def test_phase_turns_once_an_interval():
    raw = raw_of(paid([1e-4] * 4, 32))
    phase = np.arange(1, 9) / 8  # bar 8 closes an hour after a settlement, bar 15 at the next one
    assert raw["settlement_sin"][8:16] == pytest.approx(np.sin(2 * np.pi * phase))
    assert raw["settlement_cos"][8:16] == pytest.approx(np.cos(2 * np.pi * phase))
    hourly = raw_of(paid([1e-4] * 32, 32, hours=1))
    assert hourly["settlement_cos"][8:16] == pytest.approx(1.0)


def test_market_mean_takes_the_symbols_that_have_a_rate_at_that_close():
    n = 24 * 40
    one = frames(bars([100.0] * n), bars([100.0] * n), funding([1e-4] * (n // 8)), "ONE")
    late = START + 5 * 24 * HOUR
    rest = n - 5 * 24
    two = frames(
        bars([50.0] * rest, start=late),
        bars([50.0] * rest, start=late),
        funding([4e-4] * (rest // 8), start=late),
        "TWO",
    )
    market = build_market([one, two])
    assert market.symbols == (("ONE",), ("TWO",))
    column = ORDER.index("funding_market")
    assert market.features[:, 0, column] == pytest.approx(2.5 / 3.0)  # mean of 1 and 4 bp, scale 3
    alone = build_market([one])
    assert alone.features[:, 0, column] == pytest.approx(1.0 / 3.0)


def test_market_mean_leaves_out_a_symbol_whose_funding_file_has_a_hole():
    n = 24 * 45
    one = frames(bars([100.0] * n), bars([100.0] * n), funding([1e-4] * (n // 8)), "ONE")
    two = frames(
        bars([50.0] * n), bars([50.0] * n), funding([4e-4] * (n // 8)).drop(index=[120, 121]), "TWO"
    )
    market = build_market([one, two])
    first, last = market.paths[0]
    hours = (market.close_ns[first:last] - START.as_unit("ns").value) / 3.6e12
    mean = market.features[first:last, 0, ORDER.index("funding_market")] * 3.0
    hole = (hours > 960) & (hours <= 976)  # settlements at 960 and 968 h are missing in TWO
    assert mean[hole] == pytest.approx(1.0)
    assert mean[~hole] == pytest.approx(2.5)


def test_extra_columns_are_known_from_their_stamp_for_24_hours_then_zero():
    extra = pd.DataFrame({"time": [START + 3 * HOUR, START + 5 * HOUR], "oi": [7.0, np.nan]})
    aligned = align(
        frames(bars([1.0] * 48), bars([1.0] * 48), funding([1e-4] * 7), extras={"oi": extra}),
        venue="x",
    )
    raw, missing = extra_features(aligned, {"oi": 1.0})
    # row 2 closes at 3 h; the empty row at 5 h changes nothing; row 26 closes at 27 h, the last
    # within a day of 3 h
    assert raw["oi"].tolist() == [0.0] * 2 + [7.0] * 25 + [0.0] * 21
    assert missing == {"oi": 23}


def test_scaling_clips_to_the_declared_range():
    table = feature_table({"oi": 5.0})[-1:]
    assert scaled(np.array([[2.5], [500.0], [-500.0]]), table).ravel().tolist() == [
        0.5,
        10.0,
        -10.0,
    ]
    with pytest.raises(ValueError, match="name of a built-in feature"):
        feature_table({"basis": 1.0})
    with pytest.raises(ValueError, match="scale 0"):
        feature_table({"oi": 0.0})


def test_a_halted_bar_keeps_the_last_genuine_basis_in_every_feature():
    spot = bars([100.0] * 32).drop(index=[20, 21])
    perp_close = np.full(32, 100.1)
    perp_close[20:22] = 120.0
    perp_close[22] = 100.1
    raw = raw_of(frames(bars(perp_close), spot, funding([1e-4] * 4)))
    assert raw["basis"] == pytest.approx(10.0)
    assert raw["funding_estimate"][16:24] == pytest.approx(5.0)
