"""The generator against the statistics that it was made to have; tolerances cover the spread
between seeds.
"""

import numpy as np
import pandas as pd
import pytest

from fundenv.market import build_market, layout, stack, synthetic_frames, synthetic_market
from fundenv.market.synthetic.statistics import PAIR_TARGETS, TARGETS, facts, pair_facts

PATHS, YEARS = 8, 5


def mean_facts(market):
    return pd.DataFrame([facts(market, path) for path in range(market.n_paths)]).mean()


@pytest.fixture(scope="module")
def btc():
    return mean_facts(synthetic_market("btc", years=YEARS, paths=PATHS))


@pytest.mark.parametrize(
    ("name", "target", "tolerance"), TARGETS, ids=[target[0] for target in TARGETS]
)
def test_btc_has_the_measured_statistics(btc, name, target, tolerance):
    assert btc[name] == pytest.approx(target, abs=tolerance)


@pytest.mark.parametrize(("preset", "vol"), [("eth", 0.70), ("alt", 0.90)])
def test_other_presets_have_their_volatility_and_mostly_positive_funding(preset, vol):
    found = mean_facts(synthetic_market(preset, years=YEARS, paths=4))
    assert found["volatility"] == pytest.approx(vol, rel=0.08)
    assert 0.8 < found["funding_positive"] < 0.92
    assert found["funding_sd"] > 0.9
    assert found["funding_on_past_return"] == pytest.approx(0.24, abs=0.08)


@pytest.fixture(scope="module")
def joint_market():
    return synthetic_market(("btc", "eth", "alt", "alt"), years=3, paths=4)


@pytest.mark.parametrize(
    ("assets", "name", "target", "tolerance"),
    PAIR_TARGETS,
    ids=[f"{a}-{name}" for a, name, *_ in PAIR_TARGETS],
)
def test_coins_move_together_as_measured(joint_market, assets, name, target, tolerance):
    found = [pair_facts(joint_market, path, assets)[name] for path in range(joint_market.n_paths)]
    assert np.mean(found) == pytest.approx(target, abs=tolerance)


def test_coins_of_a_path_share_a_clock_and_further_coins_leave_the_first_ones_as_they_were(
    joint_market,
):
    assert joint_market.symbols[1] == ("SYNTH-BTC-1", "SYNTH-ETH-1", "SYNTH-ALT-1", "SYNTH-ALT2-1")
    pair = synthetic_market(("btc", "eth"), years=3, paths=4)
    assert np.array_equal(pair.bars, joint_market.bars[:, :2])
    assert not np.array_equal(joint_market.bars[:, 2], joint_market.bars[:, 3])


def test_chunks_of_paths_are_the_paths_of_one_call():
    whole = synthetic_market(years=0.1, paths=40, seed=2)
    parts = stack(
        [synthetic_market(years=0.1, paths=20, seed=2, first_path=first) for first in (0, 20)]
    )
    assert whole.hash == parts.hash


def test_the_market_is_what_the_tables_give():
    """The direct way from arrays to a market agrees with the way of a file: checked tables, laid on
    a grid.
    """
    frames = synthetic_frames(
        "eth", years=0.2, seed=(5, 0), start="2019-11-26", symbol="SYNTH-ETH-0"
    )
    market = synthetic_market("eth", years=0.2 - 36 / 365, seed=5)
    by_tables = build_market([frames], start="2020-01-01")
    assert np.array_equal(market.bars, by_tables.bars)
    assert np.array_equal(market.features, by_tables.features)
    assert np.array_equal(market.close_ns, by_tables.close_ns)


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
    """The running estimate at the instant of settlement is the rate, but for the noise of hourly
    closes and for crashes.
    """
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
    with pytest.raises(ValueError, match="preset is empty"):
        synthetic_market(())
