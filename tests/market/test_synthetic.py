"""The generator against the statistics that it was made to have; tolerances cover the spread between seeds."""

import numpy as np
import pandas as pd
import pytest

from fundenv.market import layout, synthetic_frames, synthetic_market
from fundenv.market.presets import PRESETS

SEEDS, YEARS = range(8), 5


def autocorrelation(x, lag):
    x = x - x.mean()
    return float((x[lag:] * x[:-lag]).mean() / x.var())


def statistics(frames):
    rate = frames.funding["rate"].to_numpy() * 1e4
    spot, perp = frames.spot["close"].to_numpy(), frames.perp["close"].to_numpy()
    r, basis = np.diff(np.log(spot)), (perp / spot - 1) * 1e4
    ends = np.arange(79, len(spot), 8)  # closes on settlement instants with 3 days before them
    trailing = np.log(spot[ends] / spot[ends - 72])
    return {
        "mean": rate.mean(),
        "sd": rate.std(),
        "positive": (rate > 0).mean(),
        "one": (np.abs(rate - 1) < 1e-9).mean(),
        "lag1": autocorrelation(rate, 1),
        "lag3": autocorrelation(rate, 3),
        "lag9": autocorrelation(rate, 9),
        "lag90": autocorrelation(rate, 90),
        "vol": r.std() * np.sqrt(8760),
        "kurtosis": ((r - r.mean()) ** 4).mean() / r.var() ** 2,
        "lag1_abs": autocorrelation(np.abs(r), 1),
        "large": (np.abs(r) > 0.03).mean() * 8760,
        "median_basis": np.median(basis),
        "basis_change_lag1": autocorrelation(np.clip(np.diff(basis[7::8]), -50, 50), 1),
        "on_trailing_return": np.corrcoef(rate[(ends + 1) // 8], trailing)[0, 1],
        "on_next_return": np.corrcoef(rate[(ends[:-9] + 1) // 8], trailing[9:])[0, 1],
    }


@pytest.fixture(scope="module")
def btc():
    return pd.DataFrame([statistics(synthetic_frames("btc", years=YEARS, seed=seed)) for seed in SEEDS]).mean()


# (statistic, target, tolerance of the mean over 8 seeds x 5 years)
TARGETS = [
    ("mean", 0.66, 0.12),
    ("sd", 0.87, 0.15),
    ("positive", 0.87, 0.03),
    ("one", 0.32, 0.04),
    ("lag1", 0.77, 0.05),
    ("lag3", 0.64, 0.08),
    ("lag9", 0.54, 0.08),
    ("lag90", 0.20, 0.08),
    ("vol", 0.56, 0.03),
    ("kurtosis", 13.0, 5.0),
    ("lag1_abs", 0.27, 0.07),
    ("large", 35.0, 15.0),
    ("median_basis", -3.9, 0.6),
    ("basis_change_lag1", -0.425, 0.075),
    ("on_trailing_return", 0.24, 0.04),
    ("on_next_return", 0.0, 0.04),
]


@pytest.mark.parametrize(("name", "target", "tolerance"), TARGETS, ids=[t[0] for t in TARGETS])
def test_btc_has_the_measured_statistics(btc, name, target, tolerance):
    assert btc[name] == pytest.approx(target, abs=tolerance)


@pytest.mark.parametrize(("preset", "vol"), [("eth", 0.70), ("alt", 0.90)])
def test_other_presets_have_their_volatility_and_mostly_positive_funding(preset, vol):
    found = pd.DataFrame([statistics(synthetic_frames(preset, years=YEARS, seed=seed)) for seed in range(4)]).mean()
    assert found["vol"] == pytest.approx(vol, rel=0.08)
    assert 0.8 < found["positive"] < 0.92
    assert found["sd"] > PRESETS["btc"].quantiles[-1][1] / 20


def test_the_same_seed_gives_the_same_market_and_another_one_does_not():
    assert synthetic_market(years=0.1, seed=3).hash == synthetic_market(years=0.1, seed=3).hash
    assert synthetic_market(years=0.1, seed=3).hash != synthetic_market(years=0.1, seed=4).hash


def test_paths_differ_and_a_path_does_not_depend_on_how_many_there_are():
    one, three = synthetic_market(years=0.1, paths=1), synthetic_market(years=0.1, paths=3)
    assert three.symbols == (("SYNTH-BTC-0",), ("SYNTH-BTC-1",), ("SYNTH-BTC-2",))
    length = len(one.bars)
    assert np.array_equal(three.bars[:length], one.bars)
    assert np.array_equal(three.features[:length], one.features)
    assert not np.array_equal(three.bars[length : 2 * length], one.bars)


def test_the_span_is_what_was_asked_for():
    market = synthetic_market(years=0.5, start="2021-05-01")
    assert market.times(0)[0] == pd.Timestamp("2021-05-01", tz="UTC")
    assert (market.times(0)[-1] - market.times(0)[0]).days == pytest.approx(182, abs=1)


@pytest.mark.parametrize("bar_hours", [1, 4, 8])
def test_bars_of_any_length_go_through_the_pipeline(bar_hours):
    market = synthetic_market(years=0.2, bar_hours=bar_hours)
    assert market.bar_hours == bar_hours
    assert not market.bars[..., layout.HALTED].any()
    settled = np.flatnonzero(market.bars[:, 0, layout.SETTLE_PRICE])
    assert set(np.diff(settled)) == {8 // bar_hours}


def test_the_estimate_finds_the_settled_rate():
    """The running estimate at the instant of settlement is the rate, but for the noise of hourly closes and for crashes."""
    market = synthetic_market(years=1)
    column = [f.name for f in market.table].index("funding_estimate")
    settled = np.flatnonzero(market.bars[1:, 0, layout.SETTLE_PRICE]) + 1
    estimate = market.features[settled - 1, 0, column] * market.table[column].scale
    error = np.abs(estimate - market.bars[settled, 0, layout.SETTLE_RATE] * 1e4)
    assert np.median(error) < 0.3
    assert (error < 1.0).mean() > 0.85


def test_mark_moves_less_than_the_last_price():
    frames = synthetic_frames(years=2, seed=1)
    spot = frames.spot["close"]
    last, mark = ((t["close"] / spot - 1) * 1e4 for t in (frames.perp, frames.mark))
    assert np.diff(mark).std() < np.diff(last).std()
    assert (last - mark).abs().median() < 1.0
    assert (frames.mark["high"] >= frames.mark[["open", "close"]].max(axis=1)).all()


def test_volume_rises_with_volatility():
    frames = synthetic_frames(years=1)
    move = np.log(frames.spot["close"]).diff().abs().rolling(24).mean()
    volume = frames.perp["volume"].rolling(24).mean()
    assert move.corr(volume) > 0.4


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="preset 'doge'; expected one of btc, eth, alt"):
        synthetic_frames("doge")
    with pytest.raises(ValueError, match="bar_hours = 3"):
        synthetic_frames(bar_hours=3)
    with pytest.raises(ValueError, match="expected at least a day"):
        synthetic_frames(years=0)
    with pytest.raises(ValueError, match="paths = 0"):
        synthetic_market(paths=0)
