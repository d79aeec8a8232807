"""The generator's second venue: its clock, its facts, and that it is the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.core.market_args import MarketArgs
from experiments.core.run_folder import RunError
from experiments.studies.venue_facts import made
from fundenv.market import layout, synthetic_frames, synthetic_venues
from fundenv.market.synthetic.second_venue import PREMIUMS, second_venue

NAMES = ("SYNTH-binance:BTCUSDT-0", "SYNTH-hyperliquid:BTC@binance:BTCUSDT-0")


def test_two_venues_settle_on_clocks_of_their_own_and_stand_near_each_other() -> None:
    market = synthetic_venues("btc", years=0.2, paths=2, seed=3)
    assert market.symbols[0] == NAMES
    assert market.venue == "binance+hyperliquid"
    due = market.bars[:, :, layout.SETTLE_PRICE] > 0
    assert due[:, 1].all()
    assert due[:, 0].mean() == pytest.approx(1 / 8, abs=0.01)
    marks = market.bars[:, :, layout.MARK_CLOSE]
    apart = np.abs(marks[:, 1] / marks[:, 0] - 1.0)
    assert 1e-5 < np.median(apart) < 2e-3
    assert market.cautions == ()


def test_a_path_depends_on_seed_and_number_alone() -> None:
    whole = synthetic_venues("btc", years=0.15, paths=2, seed=3)
    one = synthetic_venues("btc", years=0.15, paths=1, seed=3)
    first, end = one.paths[0]
    assert np.array_equal(whole.bars[first:end], one.bars[first:end])
    assert not np.array_equal(
        whole.bars[slice(*whole.paths[1])][:50], whole.bars[slice(*whole.paths[0])][:50]
    )


def test_the_rates_follow_the_rule_of_the_venue() -> None:
    """F = P + clamp(1 bp - P, -5 bp, 5 bp) in an hour's eighth: the interest alone within 5 bp of
    it, and a rate that is never above the premium by more than 5 bp.
    """
    first = synthetic_frames("btc", years=0.3, seed=1, symbol="binance:BTCUSDT")
    second = second_venue(first, "hyperliquid:BTC@binance:BTCUSDT", PREMIUMS["btc"], seed=1)
    rate = second.funding["rate"].to_numpy() * 8e4
    premium = (second.perp["close"] / first.spot["close"] - 1.0).to_numpy() * 1e4
    expected = premium + np.clip(1.0 - premium, -5.0, 5.0)
    assert rate == pytest.approx(expected, abs=1e-6)
    assert (second.funding["time"] - second.perp["time"]).eq(pd.Timedelta("1h")).all()


def test_the_spread_lasts_as_on_record() -> None:
    """Recorded 2024-01 to 2025-06 (BTC): correlation .72, spread .94 +- 1.69 bp per 8 h, its
    autocorrelation .68 after 8 h and .19 after a week.
    """
    found = made("btc", 4.0, 1)
    assert found["correlation of both"] == pytest.approx(0.72, abs=0.1)
    assert found["spread, mean"] == pytest.approx(0.94, abs=0.5)
    assert found["spread, deviation"] == pytest.approx(1.69, rel=0.25)
    assert found["autocorrelation of the spread after 8 h"] == pytest.approx(0.68, abs=0.1)
    assert found["autocorrelation of the spread after 168 h"] == pytest.approx(0.19, abs=0.12)


def test_the_command_line_makes_it_and_refuses_two_markets(tmp_path: Path) -> None:
    parts = MarketArgs(synthetic_venues=("btc",)).markets()
    assert parts["test"].symbols[0] == NAMES
    with pytest.raises(RunError, match="--synthetic-venues makes its own market"):
        MarketArgs(synthetic_venues=("btc",), data=tmp_path).markets()


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="preset 'alt'; expected of btc, eth"):
        synthetic_venues("alt")
    with pytest.raises(ValueError, match="paths = 0; expected at least 1"):
        synthetic_venues("btc", paths=0)
