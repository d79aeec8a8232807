"""Two more kinds of venues beside Binance on one clock: dYdX, which settles every hour, and
Bybit's inverse contract, from recorded files.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, joint, layout, load_market, write_frames
from tests.market.coins import coin, later, scaled
from tests.market.tables import funding

HOME, DYDX = "binance:AAAUSDT", "dydx:AAA-USD@binance:AAAUSDT"
INVERSE = "bybit_inverse:BTCUSD@binance:BTCUSDT"


def folder_of(path: Path, perp: pd.DataFrame) -> Path:
    made = coin()
    path.mkdir(exist_ok=True)
    write_frames(made, path, venue="binance")
    hourly = funding(np.full(len(perp), 1e-5), hours=1.0, start=made.perp["time"].iloc[0])
    hourly.to_parquet(path / "dydx_AAA-USD_funding.parquet")
    perp.to_parquet(path / "dydx_AAA-USD_perp_1h.parquet")
    return path


def test_dydx_settles_every_hour_beside_binance(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, scaled(coin().perp, 0.9995))
    both = joint(load_market(folder, [HOME, DYDX]), [HOME, DYDX])
    due = both.bars[:, :, layout.SETTLE_PRICE] > 0.0
    assert due[:, 1].all()
    assert due[:, 0].mean() == pytest.approx(1 / 8, abs=0.01)
    assert both.venue == "binance+dydx"
    ratio = both.bars[:, 1, layout.PERP_CLOSE] / both.bars[:, 0, layout.PERP_CLOSE]
    assert ratio == pytest.approx(0.9995, rel=1e-12)


def test_marks_of_another_unit_or_hour_are_refused_across_venues(tmp_path: Path) -> None:
    """The spot is Binance's, so the perpetual of dYdX does not fit it either."""
    with pytest.raises(DataError, match=r"999\.5 times .*counts 1,000 coins"):
        load_market(folder_of(tmp_path / "a", scaled(coin().perp, 1e3)), [HOME, DYDX])
    with pytest.raises(DataError, match=r"5 h late"):
        load_market(folder_of(tmp_path / "b", later(coin().perp, 5)), [HOME, DYDX])
    with pytest.raises(DataError, match=r"1\.049 times .* median of 30 day"):
        load_market(folder_of(tmp_path / "c", scaled(coin().perp, 1.05)), [HOME, DYDX])


@pytest.mark.skipif("FUNDENV_DATA" not in os.environ, reason="FUNDENV_DATA is unset: no real data")
@pytest.mark.filterwarnings("ignore::fundenv.venues.UnsourcedValue")
def test_the_inverse_contract_of_bybit_stands_beside_the_linear_one_of_binance() -> None:
    """Bars of 8 h without volumes, as they are on record."""
    names = ["binance:BTCUSDT", INVERSE]
    market = load_market(
        os.environ["FUNDENV_DATA"],
        names,
        bar="8h",
        start="2022-01-01",
        end="2023-01-01",
        volume_required=False,
    )
    both = joint(market, names, common=True)
    assert both.venue == "binance+bybit_inverse"
    assert both.n_paths == 1
    assert len(both.bars) == 365 * 3
    assert (both.bars[:, :, layout.SETTLE_PRICE] > 0).all()
    apart = both.bars[:, 1, layout.MARK_CLOSE] / both.bars[:, 0, layout.MARK_CLOSE] - 1.0
    assert np.abs(np.median(apart)) < 1e-3
    assert np.abs(apart).max() < 0.02
    rates = both.bars[:, :, layout.SETTLE_RATE]
    assert 0.2 < np.corrcoef(rates.T)[0, 1] < 1.0
