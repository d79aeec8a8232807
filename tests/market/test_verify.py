"""`experiments.data` on folders of one's own files, and beside downloaded series."""

from __future__ import annotations

import datetime as dt

import pytest

from experiments import data
from experiments.core.market_args import MarketArgs, column_pairs
from experiments.core.provenance import describe
from experiments.core.run_folder import RunError
from fundenv.market import DataError, write_frames
from fundenv.market.download import Series, Store
from fundenv.market.plausibility import KINDS
from tests.market.coins import coin, later, scaled
from tests.market.tables import synthetic


def verify(folder, **args) -> None:
    data.main(data.Args(command="verify", data=folder, **args))


def test_own_files_that_fit_together_are_listed_and_said_to_be_fine(tmp_path, capsys):
    write_frames(coin(), tmp_path, venue="binance")
    verify(tmp_path)
    said = capsys.readouterr().out
    assert "binance_AAAUSDT_perp_1h.parquet" in said
    assert str(len(coin().perp)) in said
    assert "fine  binance AAAUSDT: 4 tables fit together" in said
    data.main(data.Args(command="status", data=tmp_path))
    assert "binance_AAAUSDT_funding.parquet" in capsys.readouterr().out


def test_everything_that_is_wrong_is_shown_before_the_end(tmp_path, capsys):
    write_frames(coin(spot=scaled(coin().spot, 1e-3)), tmp_path, venue="binance")
    other = coin(symbol="BBBUSDT", funding=later(coin().funding, 3))
    write_frames(other, tmp_path, venue="binance")
    with pytest.raises(DataError, match=r"2 finding\(s\) above would stop load_market"):
        verify(tmp_path)
    said = capsys.readouterr().out
    assert "refused  binance_AAAUSDT_perp_1h.parquet and binance_AAAUSDT_spot_1h.parquet" in said
    assert "(settlement_hours)" in said
    verify(tmp_path, accept=("factor:AAAUSDT", "settlement_hours"))
    assert capsys.readouterr().out.count("accepted  ") == 2
    with pytest.raises(DataError, match="no such kind"):
        verify(tmp_path, accept=("everything",))


def test_a_table_that_cannot_be_read_does_not_hide_the_others(tmp_path, capsys):
    write_frames(coin(), tmp_path, venue="binance")
    write_frames(coin(symbol="BBBUSDT"), tmp_path, venue="binance")
    (tmp_path / "binance_AAAUSDT_spot_1h.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"1 finding\(s\)"):
        verify(tmp_path)
    said = capsys.readouterr().out
    assert "refused  binance_AAAUSDT_spot_1h.parquet: cannot be read" in said
    assert "left out  binance AAAUSDT: without spot nothing can be compared" in said
    assert "fine  binance BBBUSDT" in said


def test_files_that_are_nearly_right_and_venues_that_nobody_knows_are_named(tmp_path, capsys):
    write_frames(coin(), tmp_path, venue="elsewhere")
    (tmp_path / "binance_AAAUSDT_perp_1H.csv").write_text("")
    verify(tmp_path)
    said = capsys.readouterr().out
    assert "perp_1H.csv (has the step 1H: rename it to binance_AAAUSDT_perp_1h.csv)" in said
    assert "left out  elsewhere AAAUSDT: no venue of this name; pass --venue" in said


def test_a_mapping_of_columns_is_used(tmp_path, capsys):
    write_frames(coin(), tmp_path, venue="binance")
    path = tmp_path / "binance_AAAUSDT_funding.parquet"
    coin().funding.rename(columns={"rate": "paid"}).to_parquet(path)
    with pytest.raises(DataError, match=r"1 finding\(s\)"):
        verify(tmp_path)
    assert "--columns funding.rate=THEIRS" in capsys.readouterr().out
    verify(tmp_path, columns=("funding.rate=paid",))
    with pytest.raises(RunError, match=r"--columns funding\.rate: expected OURS=THEIRS"):
        column_pairs(("funding.rate",))


def test_a_folder_without_tables_still_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="no downloaded series; fetch some"):
        verify(tmp_path)


def test_downloaded_series_and_own_files_stand_side_by_side(tmp_path, capsys):
    """The pass sees a coin whose spot was downloaded and whose other tables are one's own."""
    whole = coin(mark=None)
    write_frames(whole, tmp_path, venue="binance")
    (tmp_path / "binance_AAAUSDT_spot_1h.parquet").unlink()
    store = Store(tmp_path)
    series = Series(venue="binance", symbol="AAAUSDT", kind="spot", step="1h")
    spot = scaled(whole.spot, 1e-3)
    table = spot.assign(time=spot["time"].astype("int64") // 10**6)
    with store.lock(series):
        store.write(
            series, "2020-01", table, covered=dt.datetime(2024, 2, 1, tzinfo=dt.UTC), complete=True
        )
    with pytest.raises(DataError, match=r"1 finding\(s\)"):
        verify(tmp_path)
    said = capsys.readouterr().out
    assert "binance/AAAUSDT/spot_1h" in said
    assert "999.5 times the spot price" in said


def test_what_a_command_accepts_reaches_the_record_of_the_run(tmp_path, capsys):
    wrong = coin(spot=scaled(synthetic(years=0.8).spot, 1e-3), **_longer())
    write_frames(wrong, tmp_path, venue="binance")
    with pytest.raises(DataError, match=r"\(factor\)"):
        MarketArgs(data=tmp_path).markets()
    markets = MarketArgs(data=tmp_path, accept=("factor",)).markets()
    assert "accepted  " in capsys.readouterr().out
    for market in markets.values():
        assert "times the spot price" in describe(market)["cautions"][0]


def _longer():
    made = synthetic(years=0.8)
    return {"perp": made.perp, "mark": made.mark, "funding": made.funding}


def test_the_documentation_lists_every_kind():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "data" / "README.md").read_text()
    missing = [kind for kind in KINDS if f"`{kind}`" not in text]
    assert missing == []


def test_the_documentation_lists_every_format():
    from pathlib import Path

    from fundenv.market.files.foreign import FORMATS

    text = (Path(__file__).parents[2] / "data" / "README.md").read_text()
    assert [row.name for row in FORMATS if row.name not in text] == []
