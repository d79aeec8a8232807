"""The study of a second venue: its figures are those of the files, and holes are said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.studies import venue_choice
from fundenv.market import synthetic_frames, write_frames


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::fundenv.venues.UnsourcedValue")
def test_rates_holes_and_the_price_of_risk_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coin = replace(synthetic_frames("btc", years=0.35, seed=7), symbol="BTCUSDT")
    write_frames(coin, tmp_path, venue="binance")
    rows = np.arange(len(coin.perp))
    hourly = pd.DataFrame({"time": coin.perp["time"], "rate": 2e-5})
    hole = (rows >= 1800) & (rows < 1800 + 9 * 24)
    hourly[~hole].to_parquet(tmp_path / "hyperliquid_BTC_funding.parquet")
    args = venue_choice.Args(data=tmp_path, coins=("BTC",), start="2020-01-01", end="2020-05-01")
    venue_choice.main(args)
    shown = capsys.readouterr().out
    rows_of = {line[2:44].strip(): line[44:].split() for line in shown.splitlines()}
    # 0.2 bp an hour on three quarters of the equity
    assert float(rows_of["all rates, hyperliquid:BTC@binance:BTCUSDT"][0]) == pytest.approx(13.14)
    mean = coin.funding["rate"][coin.funding["time"] < pd.Timestamp("2020-05-01", tz="UTC")].mean()
    home = float(rows_of["all rates, binance:BTCUSDT"][0])
    assert home == pytest.approx(75 * mean * 3 * 365, abs=0.01)
    funding = float(rows_of["always-on, hyperliquid:BTC@binance:BTCUSDT"][0])
    assert 10.0 < funding < 15.0  # the notional drifts with the price
    assert "in 2 spans; the others are left out, not filled" in shown
    assert "stand in for prices, ranges and volumes of hyperliquid:BTC" in shown
    assert "with the second venue 1.35 on 75 % at home and 0.45 on 25 % there" in shown
