"""The calibration of costs: its parts by hand, and the sources and assumptions that it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.studies import liquidity_calibration as study
from fundenv.market import layout, load_market, synthetic_frames, write_frames

PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("costs")
    coin = replace(synthetic_frames("btc", years=0.3, seed=4), symbol="BTCUSDT")
    write_frames(coin, folder, venue="binance")
    return folder


def test_an_order_that_waits_by_hand() -> None:
    """Half-spread 1 bp. Bar 1 dips by 5 bp and ends 10 bp up: a purchase fills, and so does a sale.
    Bar 2 rises by 100 bp without a dip: the purchase misses it, the sale has it against it.
    """
    table = pd.DataFrame(
        [(100.0, 100.15, 99.95, 100.1), (100.0, 101.2, 100.0, 101.0)], columns=PRICES
    )
    chance, missed, against = study.waiting(table, 1e-4)
    assert chance == pytest.approx(0.75)
    assert missed == pytest.approx(100.0)
    assert against == pytest.approx((-10.0 + 10.0 + 100.0) / 3)


def test_slices_cost_between_one_order_and_none_that_is_remembered(data: Path) -> None:
    market = load_market(data, ["BTCUSDT"])
    paid = {}
    for half_life in ("1h", "8h", None):
        whole, parts, forgotten = study.slices_cost(market, "BTCUSDT", 1e7, half_life)
        assert forgotten == pytest.approx(whole / np.sqrt(study.SLICES))
        assert forgotten < parts < whole * (1.0 + 1e-9)
        paid[half_life] = parts
    assert paid["1h"] < paid["8h"] < paid[None]
    assert paid[None] == pytest.approx(whole)
    bar = market.bars[-1, 0]
    share = 1e7 / bar[layout.PERP_CLOSE] / bar[layout.PERP_DAY_VOLUME]
    assert whole == pytest.approx(1e4 * 0.7 * bar[layout.SIGMA_DAY] * np.sqrt(share))


def test_the_report_names_sources_and_assumptions(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = study.Args(
        data=data,
        symbols=("BTCUSDT",),
        start="2020-01-01",
        judged="2020-03-15",
        agents=("carry",),
    )
    study.main(args)
    shown = capsys.readouterr().out
    for words in (
        "published 0.11",
        "published 5.95 on 2020-03-12",
        "crash_spread = 54",
        "crash_impact = 4.5 (95 %)",
        "arXiv 2212.06888",
        "Amberdata",
        "an assumption",
        "no public figure was found",
        "maker_fill = 0.97, maker_missed = 80",
    ):
        assert words in shown, words
    assert shown.splitlines()[-1].split()[0] == "carry"
