"""Files as they lie about: columns of text, headers that stand again, names that nearly fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, Market, build_market, load_market, read_table, write_frames
from fundenv.market.files.names import passed_over
from tests.market.coins import coin

KINDS = ("funding", "perp_1h", "spot_1h", "mark_1h")


def write_csv(folder, **changed):
    """The coin as CSVs with epochs in ms; `changed`: kind -> what to do to its lines."""
    for kind in KINDS:
        table = getattr(coin(), kind.split("_")[0])
        text = table.assign(time=table["time"].astype("int64") // 10**6).to_csv(index=False)
        lines = changed.get(kind, lambda lines: lines)(text.splitlines())
        (folder / f"binance_AAAUSDT_{kind}.csv").write_text("\n".join(lines) + "\n")


def test_text_columns_that_nobody_asked_for_are_left_out(tmp_path):
    def named(lines):
        return [lines[0] + ",symbol,exchange", *(f"{line},AAAUSDT,Binance" for line in lines[1:])]

    write_csv(tmp_path, funding=named, perp_1h=named)
    assert np.allclose(load_market(tmp_path).bars, build_market([coin()]).bars)
    with pytest.raises(DataError, match=r"extra column 'symbol' holds text; expected numbers"):
        load_market(tmp_path, extra={"symbol": 1.0})


def test_one_word_in_a_column_of_numbers_is_still_an_error_that_says_how_to_go_on(tmp_path):
    bars = coin().perp.iloc[:50].assign(trades=1.0).astype({"trades": object})
    bars.loc[7, "trades"] = "many"
    bars.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(DataError, match=r"column trades, row 7 .*'?many'?.*drop the column"):
        read_table(tmp_path / "x.csv", "perp")


def test_headers_that_stand_again_are_left_out_with_their_lines(tmp_path):
    def joined(lines):
        return [*lines[:500], lines[0], *lines[500:1000], lines[0], *lines[1000:]]

    write_csv(tmp_path, perp_1h=joined)
    market = load_market(tmp_path)
    assert any(
        "perp_1h.csv: the header stands again at line 501, 1002; left out there" in note
        for note in market.notes
    )
    assert np.allclose(market.bars, build_market([coin()]).bars)


def test_a_word_among_times_is_blamed_on_its_own_row(tmp_path):
    def broken(lines):
        return [*lines[:301], "later" + lines[301][lines[301].index(",") :], *lines[302:]]

    write_csv(tmp_path, perp_1h=broken)
    with pytest.raises(DataError, match=r"column time, row 300: 'later'"):
        load_market(tmp_path)


NEARLY = [
    ("binance_AAAUSDT_perp_1H.csv", "binance_AAAUSDT_perp_1h.csv"),
    ("binance_AAA_USDT_perp_1h.csv", "binance_AAAUSDT_perp_1h.csv"),
    ("binance_AAAUSDT_perp_1h.CSV", "binance_AAAUSDT_perp_1h.csv"),
    ("binance_AAAUSDT_perp_1h.csv.gz", "unpack it to binance_AAAUSDT_perp_1h.csv"),
    ("binance_AAAUSDT_perp_1h.feather", "write it as .parquet or .csv"),
    ("Binance_AAAUSDT_perp_1h.csv", "write binance"),
    ("okx_AAAUSDT_perp_1h.csv", "the venue looked for is binance"),
    ("binance_AAAUSDT_futures_1h.csv", "has the kind futures: write perp"),
    ("binance_AAAUSDT_fundingRate.csv", "has the kind fundingRate: write funding"),
    ("BTCUSDT-1h-2024-01.csv", "is not called {venue}_{symbol}_{kind}"),
]


@pytest.mark.parametrize(("name", "said"), NEARLY)
def test_files_that_are_nearly_right_are_named_with_the_reason(tmp_path, name, said):
    (tmp_path / name).write_text("time,open\n")
    with pytest.raises(DataError) as caught:
        load_market(tmp_path)
    assert name in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_right_name_or_another_kind_of_file_is_not_complained_about(tmp_path):
    for name in ("binance_X_perp_1h.csv", "binance_X_oi.csv", "README.md", ".hidden.CSV"):
        (tmp_path / name).write_text("")
    assert passed_over(tmp_path, "binance") == ""


def test_the_hash_does_not_depend_on_the_type_of_the_symbol(tmp_path):
    write_frames(coin(), tmp_path, venue="binance")
    name = np.array(["AAAUSDT"])
    markets = [
        load_market(tmp_path, symbols)
        for symbols in (["AAAUSDT"], name, pd.Series(name), pd.Index(name), "AAAUSDT", None)
    ]
    assert len({m.hash for m in markets}) == 1
    one = markets[0]
    again = Market(
        bars=one.bars,
        features=one.features,
        paths=one.paths,
        close_ns=one.close_ns,
        symbols=((np.str_("AAAUSDT"),),),
        bar_hours=one.bar_hours,
        table=one.table,
        venue=one.venue,
    )
    assert again.hash == one.hash
    assert type(again.symbols[0][0]) is str


@pytest.mark.parametrize("symbol", ["../AAA", "a/b", ".hidden", "a\\b"])
def test_a_name_that_leads_out_of_the_folder_is_not_written(tmp_path, symbol):
    with pytest.raises(DataError, match="cannot be part of a file name"):
        write_frames(coin(symbol=symbol), tmp_path / "in", venue="binance")
    with pytest.raises(DataError, match="cannot be part of a file name"):
        write_frames(coin(), tmp_path / "in", venue=symbol)
    assert list(tmp_path.rglob("*.parquet")) == []
