"""Tables that do not belong together, one way at a time, and history that only looks so."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, build_market, load_market, read_frames, select, write_frames
from fundenv.market.plausibility import KINDS, Finding, findings, judge
from fundenv.venues import load_venue
from tests.market.coins import HOUR, PRICES, coin, later, scaled
from tests.market.judged import BINANCE, collapse, found
from tests.market.tables import real_data, synthetic


def test_a_coin_whose_tables_fit_together_is_left_in_peace():
    assert findings(coin(), BINANCE) == ()
    assert build_market([coin()]).cautions == ()


@pytest.mark.parametrize("factor", [1000.0, 0.01, 1.08])
@pytest.mark.parametrize("table", ["perp", "spot", "mark"])
def test_a_factor_between_the_prices_is_found(table, factor):
    """1000 coins in one contract, cents for dollars, euros for dollars."""
    wrong = found(coin(**{table: scaled(getattr(coin(), table), factor)}))
    assert "factor" in wrong
    times = factor if factor > 1 else 1 / factor
    said = float(re.search(r"is ([\d.]+) times", wrong["factor"].value)[1])
    assert said == pytest.approx(times, rel=0.01)


def test_a_factor_of_a_thousand_says_which_file_to_multiply():
    line = found(coin(spot=scaled(coin().spot, 1e-3)))["factor"].error()
    assert "multiply the prices of the spot file by 1,000" in line
    assert "accept=('factor',), --accept factor" in line
    assert "\n" not in line


def test_a_factor_that_begins_midway_is_found_with_its_first_day():
    rows = coin().spot.index[1000:]
    finding = found(coin(spot=scaled(coin().spot, 0.5, rows)))["factor"]
    begun = coin().spot["time"].iloc[1000]
    assert abs(finding.first - begun) <= pd.Timedelta(days=1)


@pytest.mark.parametrize("hours", [1, 8, -3])
@pytest.mark.parametrize("table", ["spot", "mark"])
def test_a_lag_of_hours_between_the_prices_is_found_with_its_size(table, hours):
    finding = found(coin(**{table: later(getattr(coin(), table), hours)}))["lag"]
    late = table if hours > 0 else "perp"
    assert f"the {late} prices come {abs(hours)} h late" in finding.value


def test_a_lag_inside_merged_bars_is_found_as_well():
    with pytest.raises(DataError, match=r"the spot prices come 2 h late.*\(lag\)"):
        build_market([coin(spot=later(coin().spot, 2))], bar="8h")


def test_a_generated_symbol_may_settle_at_hours_of_its_own():
    assert findings(synthetic(), load_venue("bitmex")) == ()


@pytest.mark.parametrize("price", [0.0, -1.0, np.inf])
def test_an_impossible_price_in_an_optional_column_is_found_with_its_row(price):
    paid = coin().funding.assign(mark_price=np.nan)
    paid.loc[7, "mark_price"] = price
    assert "row 7" in found(coin(funding=paid))["impossible_price"].where
    extra = coin().spot[["time"]].assign(index_close=100.0)
    extra.loc[9, "index_close"] = price
    assert "row 9" in found(coin(extras={"index_close": extra}))["impossible_price"].where


def test_columns_that_may_be_negative_are_no_prices():
    extra = coin().spot[["time"]].assign(premium_close=-1e-4, open_interest=0.0)
    tables = {name: extra[["time", name]] for name in ("premium_close", "open_interest")}
    assert found(coin(extras=tables)) == {}


@pytest.mark.parametrize("table", ["perp", "spot"])
def test_bars_that_become_longer_inside_a_file_are_found(table):
    """1 h for a month, then 4 h: the close of a 4 h bar would count as known 3 h early."""
    bars = getattr(coin(), table)
    head, tail = bars.iloc[:744], bars.iloc[744:]
    group = np.arange(len(tail)) // 4
    merged = tail.groupby(group).agg(
        {
            "time": "first",
            "open": "first",
            "high": "max",
            "low": "min",
            "close": "last",
            "volume": "sum",
        }
    )
    mixed = pd.concat([head, merged], ignore_index=True)
    finding = found(coin(**{table: mixed.iloc[: 744 + 180]}))["bar_length"]
    assert "bars of 4h in a file of 1h" in finding.value
    assert finding.first == head["time"].iloc[-1] + HOUR


def test_scattered_missing_bars_are_no_change_of_length():
    gone = np.random.default_rng(0).choice(len(coin().spot) - 2, 60, replace=False) + 1
    assert "bar_length" not in found(coin(spot=coin().spot.drop(index=gone)))


def test_another_coin_under_the_same_name_after_a_gap_is_found():
    """Both legs stop, and a week later another coin trades under the name at 50 times the price."""
    cut, after = 1000, 1000 + 168
    tables = {}
    for name in ("perp", "spot", "mark"):
        bars = getattr(coin(), name)
        second = scaled(bars.iloc[after:], 50.0)
        tables[name] = pd.concat([bars.iloc[:cut], second], ignore_index=True)
    finding = found(coin(**tables))["other_coin"]
    assert finding.first == coin().perp["time"].iloc[after]
    assert "169 h after" in finding.value


def test_a_redenomination_without_a_gap_is_found():
    tables = {
        n: scaled(getattr(coin(), n), 1e-3, slice(1000, None)) for n in ("perp", "spot", "mark")
    }
    assert "other_coin" in found(coin(**tables))


@pytest.mark.parametrize("gap", [0, 6])
def test_one_odd_price_is_no_other_coin(gap):
    """The bars after it stand where those before it stood: a spike, with and without a gap."""
    perp = coin().perp
    perp.loc[1000, PRICES] *= 4.0
    if gap:
        perp = perp.drop(index=range(1000 - gap, 1000)).reset_index(drop=True)
    assert "other_coin" not in found(coin(perp=perp))


@pytest.mark.parametrize("column", ["high", "low"])
def test_a_spike_of_the_mark_price_is_found(column):
    mark = coin().mark.copy()
    mark.loc[500, column] *= 1.5 if column == "high" else 0.5
    finding = found(coin(mark=mark))["spike"]
    assert f"column {column}" in finding.where
    assert finding.first == mark["time"].iloc[500]


def test_a_wick_of_the_last_price_is_noted_and_stops_nothing_while_a_mark_price_is_there():
    """ETH 2020-03-13: the perpetual traded at 2.3 times its neighbours for an instant."""
    perp = coin().perp.copy()
    perp.loc[500, "high"] *= 10.0
    marked = findings(coin(perp=perp), BINANCE)
    assert [(f.kind, f.refused) for f in marked] == [("spike", False)]
    assert "spike" in found(coin(perp=perp, mark=None))
    perp.loc[500, "high"] = coin().perp.loc[500, "high"] * 2.3
    assert found(coin(perp=perp, mark=None)) == {}


@pytest.mark.parametrize("rows", [1, 5])
def test_closes_that_are_wrong_for_some_hours_are_found(rows):
    perp = coin().perp.copy()
    perp.loc[500 : 499 + rows, PRICES] *= 2.0
    assert {"spike"} <= set(found(coin(perp=perp)))


@pytest.mark.parametrize("gap", [False, True])
def test_a_coin_that_collapses_with_its_exchange_passes(gap):
    assert found(collapse(gap=gap)) == {}


def test_accepting_a_kind_lets_it_through_and_names_it():
    wrong = coin(spot=scaled(coin().spot, 1e-3))
    with pytest.raises(DataError, match=r"\(factor\)"):
        build_market([wrong])
    for accept in (("factor",), ("factor:AAAUSDT",), "factor"):
        market = build_market([wrong], accept=accept)
        assert len(market.cautions) == 1
        assert "the perp price is 999.5 times the spot price" in market.cautions[0]
        assert "accepted: " in repr(market)
        assert select(market, ["AAAUSDT"]).cautions == market.cautions
    with pytest.raises(DataError, match=r"\(factor\)"):
        build_market([wrong], accept=("factor:OTHER", "lag"))
    with pytest.raises(DataError, match=r"accept 'factors': no such kind.*factor, lag"):
        build_market([wrong], accept=("factors",))


def test_what_is_accepted_changes_no_number():
    """The pass looks at the whole history, so it must leave every row as it is."""
    odd = coin(
        mark=coin().mark.assign(high=coin().mark["high"].where(coin().mark.index != 2000, 1e6))
    )
    market = build_market([odd], accept=tuple(KINDS))
    plain = build_market([coin()])
    early = market.close_ns < odd.mark["time"].iloc[2000].as_unit("ns").value
    assert early.sum() > 500
    assert np.array_equal(market.bars[early], plain.bars[early])
    assert np.array_equal(market.features, plain.features)


def test_several_findings_are_counted_and_named():
    both = coin(spot=scaled(coin().spot, 1e-3), funding=later(coin().funding, 3))
    with pytest.raises(DataError, match=r"and 1 more \(settlement_hours\)"):
        build_market([both])


def test_the_last_weeks_of_a_live_feed_pass_and_a_wrong_last_bar_is_seen():
    """Closed bars of a feed are the tables as they stand now: nothing after the last bar exists."""
    now = coin().perp["time"].iloc[-1] - pd.Timedelta(days=10)
    feed = replace(coin(), funding=coin().funding.iloc[30:]).known_at(now)
    assert findings(feed, BINANCE) == ()
    perp = feed.perp.copy()
    perp.loc[perp.index[-1], PRICES] *= 2.0
    wrong = [f for f in findings(replace(feed, perp=perp), BINANCE) if f.refused]
    assert {(f.kind, f.first) for f in wrong} == {("spike", perp["time"].iloc[-1])}


@pytest.mark.parametrize("start", range(5))
def test_windows_of_real_crashes_pass_as_a_live_feed_would_see_them(start):
    """35 days up to an instant inside March 2020 and May 2021: short windows have few bars."""
    whole = read_frames(real_data(), ["BTCUSDT", "ETHUSDT", "XRPUSDT", "LTCUSDT", "ADAUSDT"][start])
    for now in ("2020-03-12 12:00", "2020-03-13 03:00", "2021-05-19 14:00", "2022-11-09 16:00"):
        end = pd.Timestamp(now, tz="UTC")
        window = {
            name: table[(table["time"] >= end - pd.Timedelta(days=35)) & (table["time"] < end)]
            for name in ("funding", "perp", "spot", "mark")
            if (table := getattr(whole, name)) is not None
        }
        assert found(replace(whole, **window)) == {}


def test_every_kind_is_explained_in_the_page_on_data():
    page = (Path(__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \|[^|]+\|[^|]+\|$", page, re.MULTILINE)
    assert told == list(KINDS)


@pytest.mark.parametrize(
    ("table", "factor", "noted"),
    [
        ("perp", 1.0, False),
        ("perp", 30_000.0, True),  # quote in one file
        ("spot", 30_000.0, True),
        ("perp", 0.001, True),  # contracts of 1000 coins
        ("perp", 10.0, False),
    ],
)
def test_a_volume_in_another_unit_than_coins_is_noted(table, factor, noted):
    whole = coin()
    changed = getattr(whole, table)
    changed = changed.assign(volume=changed["volume"] * factor)
    kinds = {f.kind: f for f in findings(replace(whole, **{table: changed}), BINANCE)}
    assert ("volume_unit" in kinds) == noted
    if noted:
        assert not kinds["volume_unit"].refused
        assert "of the spot" in kinds["volume_unit"].value


def test_volumes_of_both_files_in_quote_are_noted_where_a_coin_costs_much():
    whole = coin()
    price = float(whole.perp["close"].median())
    dear = {
        name: scaled(table, 50_000 / price).assign(volume=1e3 * 50_000)
        for name in ("perp", "spot")
        if (table := getattr(whole, name)) is not None
    }
    kinds = findings(replace(whole, mark=None, **dear), BINANCE)
    assert [f.kind for f in kinds] == ["volume_unit"] * 2
    coins = {name: table.assign(volume=1e3) for name, table in dear.items()}
    assert findings(replace(whole, mark=None, **coins), BINANCE) == ()


def test_judge_parts_notes_cautions_and_refusals():
    note = Finding("spike", "A", "f", None, "v", "l", "r", refused=False)
    stop = note._replace(refused=True)
    assert judge([note]) == ((note.line(),), ())
    assert judge([note, stop], ("spike",)) == ((note.line(),), (stop.line(),))
    with pytest.raises(DataError, match="f: v; expected l"):
        judge([stop])


def test_load_market_runs_the_pass(tmp_path):
    write_frames(coin(spot=scaled(coin().spot, 1e-3)), tmp_path, venue="binance")
    with pytest.raises(DataError, match=r"binance_AAAUSDT_spot_1h\.parquet.*999.5 times"):
        load_market(tmp_path)
    assert load_market(tmp_path, accept=("factor",)).cautions


@pytest.mark.parametrize(
    "symbol", ["BTCUSDT", "ETHUSDT", "XRPUSDT", "LTCUSDT", "ADAUSDT", "DOTUSDT", "TRXUSDT"]
)
def test_real_history_passes_with_and_without_its_mark_prices(symbol):
    frames = read_frames(real_data(), symbol)
    assert found(frames) == {}
    assert found(replace(frames, mark=None)) == {}
    assert {f.kind for f in findings(frames, BINANCE)} <= {"spike"}
