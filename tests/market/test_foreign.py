"""CSVs as people have them: read by a declared format or by the user's own mapping, or refused with
the mapping to give.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, build_market, load_market, read_table
from fundenv.market.files.foreign import FORMATS
from tests.market.coins import coin

PRICES = ["open", "high", "low", "close"]


def ms(table: pd.DataFrame) -> pd.Series:
    return table["time"].astype("int64") // 10**6


def kline(table: pd.DataFrame, *, header: bool = True, ticks: int = 1) -> str:
    """As data.binance.vision has them; epochs are ms, since 2025 us for spot."""
    opened = ms(table) * ticks
    rows = pd.DataFrame(
        {
            "open_time": opened,
            **{name: table[name] for name in PRICES},
            "volume": table["volume"],
            "close_time": opened + 3_600_000 * ticks - 1,
            "quote_volume": table["volume"] * table["close"],
            "count": 17,
            "taker_buy_volume": 1.0,
            "taker_buy_quote_volume": 1.0,
            "ignore": 0,
        }
    )
    return rows.to_csv(index=False, header=header)


def ccxt(table: pd.DataFrame) -> str:
    return pd.DataFrame(
        {"timestamp": ms(table), **{c: table[c] for c in [*PRICES, "volume"]}}
    ).to_csv(index=False)


def cryptodatadownload(table: pd.DataFrame) -> str:
    """Newest row first, an address above the header, volumes of the coin and of the quote."""
    rows = pd.DataFrame(
        {
            "Unix": ms(table) // 1000,
            "Date": table["time"].dt.strftime("%Y-%m-%d %H:%M:%S"),
            "Symbol": "AAA/USDT",
            **{name.capitalize(): table[name] for name in PRICES},
            "Volume AAA": table["volume"],
            "Volume USDT": table["volume"] * table["close"],
            "tradecount": 5,
        }
    )
    return "https://www.CryptoDataDownload.com\n" + rows.iloc[::-1].to_csv(index=False)


def freqtrade(table: pd.DataFrame) -> str:
    rows = table.rename(columns={"time": "date"})[["date", *PRICES, "volume"]]
    return rows.to_csv(index=False)


def okx(table: pd.DataFrame, kind: str = "perp", *, short: bool = True) -> str:
    """`vol` counts contracts of a swap; the last candle is not confirmed. Newest first."""
    coins, other = ("volCcy", "vol") if kind == "perp" else ("vol", "volCcy")
    last = table.iloc[[-1]].assign(time=table["time"].iloc[-1] + pd.Timedelta("1h"))
    table = pd.concat([table, last], ignore_index=True)
    rows = pd.DataFrame(
        {
            "ts": ms(table),
            **{name[0] if short else name: table[name] for name in PRICES},
            coins: table["volume"],
            other: table["volume"] * 100.0,
            "volCcyQuote": 1.0,
            "confirm": [*[1] * (len(table) - 1), 0],
        }
    )
    return rows.iloc[::-1].to_csv(index=False)


def bybit(table: pd.DataFrame) -> str:
    rows = pd.DataFrame(
        {"startTime": ms(table), **{c: table[c] for c in [*PRICES, "volume"]}, "turnover": 1.0}
    )
    return rows.iloc[::-1].to_csv(index=False)


BARS = {
    "Binance kline archive": kline,
    "ccxt OHLCV": ccxt,
    "CryptoDataDownload": cryptodatadownload,
    "freqtrade OHLCV": freqtrade,
    "OKX candles": okx,
    "Bybit kline": bybit,
}


@pytest.mark.parametrize("name", BARS)
def test_bars_of_others_are_read_as_what_they_are(tmp_path, name):
    bars = coin().perp.iloc[:200]
    (tmp_path / "x.csv").write_text(BARS[name](bars))
    read = read_table(tmp_path / "x.csv", "perp", symbol="AAAUSDT")
    assert read["time"].tolist() == bars["time"].tolist()
    for column in (*PRICES, "volume"):
        assert np.allclose(read[column], bars[column], rtol=1e-12)


@pytest.mark.parametrize("short", [True, False])
@pytest.mark.parametrize("kind", ["perp", "spot"])
def test_the_volume_of_an_okx_spot_pair_is_the_other_column(tmp_path, kind, short):
    bars = coin().spot.iloc[:50]
    (tmp_path / "x.csv").write_text(okx(bars, kind, short=short))
    read = read_table(tmp_path / "x.csv", kind)
    assert len(read) == 50  # without the candle that is not confirmed
    for column in (*PRICES, "volume"):
        assert np.allclose(read[column], bars[column])


@pytest.mark.parametrize("ticks", [1, 1000], ids=["ms", "us"])
def test_a_kline_archive_without_a_header_is_read_and_told(tmp_path, ticks):
    bars = coin().perp.iloc[:200]
    (tmp_path / "x.csv").write_text(kline(bars, header=False, ticks=ticks))
    read = read_table(tmp_path / "x.csv", "perp")
    assert len(read) == 200
    assert read["time"].tolist() == bars["time"].tolist()
    assert np.allclose(read["volume"], bars["volume"])


def stamps(paid: pd.DataFrame) -> pd.Series:
    return ms(paid)


FUNDING = {
    "Binance funding archive": lambda p: pd.DataFrame(
        {"calc_time": ms(p), "funding_interval_hours": 8, "last_funding_rate": p["rate"]}
    ),
    "Binance funding history": lambda p: pd.DataFrame(
        {"symbol": "AAAUSDT", "fundingTime": ms(p), "fundingRate": p["rate"], "markPrice": 100.0}
    ),
    "OKX funding history": lambda p: pd.DataFrame(
        {
            "instId": "AAA-USDT-SWAP",
            "fundingRate": 0.01,  # the prediction; realizedRate is what was paid
            "realizedRate": p["rate"],
            "fundingTime": ms(p),
        }
    ),
    "Bybit funding history": lambda p: pd.DataFrame(
        {"symbol": "AAAUSDT", "fundingRate": p["rate"], "fundingRateTimestamp": ms(p)}
    ).iloc[::-1],
    "ccxt funding history": lambda p: pd.DataFrame(
        {
            "timestamp": ms(p),
            "datetime": "2020",
            "symbol": "AAA/USDT:USDT",
            "fundingRate": p["rate"],
        }
    ),
    "ccxt funding history, rates as texts in percent": lambda p: pd.DataFrame(
        {"timestamp": ms(p), "fundingRate": [f"{100 * rate:.8f}%" for rate in p["rate"]]}
    ),
}


@pytest.mark.parametrize("name", FUNDING)
def test_settlements_of_others_are_read_as_what_they_are(tmp_path, name):
    paid = coin().funding.iloc[:60]
    FUNDING[name](paid).to_csv(tmp_path / "x.csv", index=False)
    read = read_table(tmp_path / "x.csv", "funding", symbol="AAAUSDT")
    assert read["time"].tolist() == paid["time"].tolist()
    assert np.allclose(read["rate"], paid["rate"], atol=1e-10)


def test_every_format_has_a_test():
    tested = {name.split(",")[0] for name in (*BARS, *FUNDING)} | {"CoinGlass funding candles"}
    assert {row.name for row in FORMATS} == tested


def test_candles_of_a_funding_rate_are_refused_with_the_mapping_to_give(tmp_path):
    paid = coin().funding.iloc[:60]
    candles = dict.fromkeys(PRICES, paid["rate"] * 100)
    pd.DataFrame({"time": ms(paid), **candles}).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(DataError, match=r"CoinGlass.*--columns rate=close\*0\.01") as caught:
        read_table(tmp_path / "x.csv", "funding")
    assert "\n" not in str(caught.value)
    mapped = read_table(tmp_path / "x.csv", "funding", columns={"rate": "close*0.01"})
    assert np.allclose(mapped["rate"], paid["rate"])


def test_columns_that_nobody_knows_are_refused_with_the_mapping_to_give(tmp_path):
    paid = coin().funding.iloc[:60]
    odd = pd.DataFrame({"settled at": ms(paid), "funding pct": paid["rate"] * 100})
    odd.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(DataError, match=r"column time is missing.*--columns funding\.time="):
        read_table(tmp_path / "x.csv", "funding")
    with pytest.raises(DataError, match=r"'funding\.rate': 'funding pct'"):
        read_table(tmp_path / "x.csv", "funding", columns={"time": "settled at"})
    own = {"funding.time": "settled at", "rate": "funding pct*0.01"}
    read = read_table(tmp_path / "x.csv", "funding", columns=own)
    assert np.allclose(read["rate"], paid["rate"])
    assert read["time"].tolist() == paid["time"].tolist()


def test_a_mapping_of_one_kind_leaves_the_others_alone(tmp_path):
    whole = coin()
    for kind in ("funding", "spot_1h", "mark_1h"):
        table = getattr(whole, kind.split("_")[0])
        table.assign(time=ms(table)).to_csv(tmp_path / f"binance_AAAUSDT_{kind}.csv", index=False)
    odd = whole.perp.rename(columns={"close": "last"}).assign(time=ms(whole.perp))
    odd.to_csv(tmp_path / "binance_AAAUSDT_perp_1h.csv", index=False)
    with pytest.raises(DataError, match=r"perp_1h\.csv: column close is missing"):
        load_market(tmp_path)
    market = load_market(tmp_path, columns={"perp.close": "last"})
    assert any("columns read as given, close = last" in note for note in market.notes)
    assert np.allclose(market.bars, build_market([whole]).bars)


def test_a_folder_of_exports_loads_and_says_how_it_was_read(tmp_path):
    whole = coin()
    (tmp_path / "binance_AAAUSDT_perp_1h.csv").write_text(kline(whole.perp, header=False))
    (tmp_path / "binance_AAAUSDT_spot_1h.csv").write_text(cryptodatadownload(whole.spot))
    FUNDING["ccxt funding history"](whole.funding).to_csv(
        tmp_path / "binance_AAAUSDT_funding.csv", index=False
    )
    market = load_market(tmp_path)
    said = " ".join(market.notes)
    assert "has no header line" in said
    assert "read as CryptoDataDownload, time = Unix" in said
    assert "read as ccxt funding history" in said
    assert np.allclose(market.bars[..., :4], build_market([whole]).bars[..., :4])


def test_semicolons_say_what_they_are_and_seconds_are_told_by_their_size(tmp_path):
    bars = coin().perp.iloc[:50]
    bars.to_csv(tmp_path / "x.csv", index=False, sep=";")
    with pytest.raises(DataError, match="stand between semicolons"):
        read_table(tmp_path / "x.csv", "perp")
    bars.assign(time=ms(bars) // 1000).to_csv(tmp_path / "y.csv", index=False)
    for columns in ({}, {"time": "time"}):
        read = read_table(tmp_path / "y.csv", "perp", columns=columns)
        assert read["time"].tolist() == bars["time"].tolist()
