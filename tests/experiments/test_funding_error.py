"""The comparison of the running estimate with the settled rates."""

import pytest

from experiments.studies import funding_error
from fundenv.market.files.frames import write_frames
from tests.market.tables import flat


def test_a_flat_market_has_no_error_and_a_shifted_estimate_shows_its_shift(tmp_path, monkeypatch):
    # basis 10 bp all along: premium 10 bp, rate 10 - 5 = 5 bp per 8 h, settled so
    write_frames(flat(24 * 40, rates=[5e-4] * 121), tmp_path, venue="binance")
    table = funding_error.errors(tmp_path, ("XYZ",), "binance")
    # of 121: the last lies behind the bars, the length of the first interval and the rate after it
    # are unknown
    assert table["settlements"].tolist() == [118]
    assert table[["mean", "median size", "95 % size"]].to_numpy() == pytest.approx(0.0, abs=1e-9)
    assert table["within 1 bp"].tolist() == [1.0]
    before = funding_error.raw_features
    monkeypatch.setattr(
        funding_error,
        "raw_features",
        lambda *a: before(*a) | {"funding_estimate": before(*a)["funding_estimate"] - 2.5},
    )
    moved = funding_error.errors(tmp_path, ("XYZ",), "binance")
    assert moved["mean"].tolist() == pytest.approx([-2.5])
    assert moved["within 1 bp"].tolist() == [0.0]
