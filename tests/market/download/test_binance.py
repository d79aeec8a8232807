"""From Binance's formats to the rows in the store: every row that was published, once, at its
time.
"""

from __future__ import annotations

import tomllib

import numpy as np
import pandas as pd
import pytest

from fundenv.market import load_market
from fundenv.market.download import DownloadError, Series
from tests.market.download import world
from tests.market.download.conftest import Desk
from tests.market.download.formats import MINUTE, ms
from tests.market.download.tables import NOON, expected, same, series, stored
from tests.market.download.world import HOUR


@pytest.mark.parametrize("kind", ["perp", "spot", "mark"])
def test_bars_of_archives_and_interface_make_one_gapless_table(desk: Desk, kind: str) -> None:
    outcome = desk.update(series(kind), "2024-02")
    assert same(stored(desk, series(kind)), expected(kind, "BTCUSDT", "2024-02-01", NOON))
    assert outcome.failures == []
    assert sorted(outcome.written) == ["2024-02", "2024-03"]
    manifest = tomllib.loads((desk.store.folder(series(kind)) / "manifest.toml").read_text())
    february = manifest["parts"]["2024-02"]
    assert february["complete"]
    assert not manifest["parts"]["2024-03"]["complete"]
    assert february["rows"] == len(expected(kind, "BTCUSDT", "2024-02-01", ms("2024-03-01")))
    assert str(february["first"]) == "2024-02-01 00:00:00+00:00"
    assert february["sources"][0].endswith("BTCUSDT-1h-2024-02.zip")


@pytest.mark.parametrize("kind", ["index", "premium"])
def test_rows_that_are_no_trades_are_stamped_when_their_bar_closes(desk: Desk, kind: str) -> None:
    desk.update(series(kind), "2024-03")
    wanted = expected(kind, "BTCUSDT", "2024-03-01", NOON)
    wanted["time"] += HOUR
    found = stored(desk, series(kind))
    assert list(found.columns) == [
        "time",
        *(f"{kind}_{price}" for price in ("open", "high", "low", "close")),
    ]
    assert np.allclose(found, wanted, rtol=1e-12, atol=1e-15)


def test_settlements_come_with_the_exchanges_own_stamps(desk: Desk) -> None:
    desk.update(series("funding"), "2024-01")
    times = world.settlements("BTCUSDT", ms("2024-01-01"), NOON)
    wanted = pd.DataFrame({"time": np.array(times) + 7, "rate": [world.rate(t) for t in times]})
    assert same(stored(desk, series("funding")), wanted)


def test_a_settlement_between_two_close_runs_is_not_lost(desk: Desk) -> None:
    desk.server.now_ms = ms("2024-03-10 07:30")
    desk.update(series("funding"), "2024-03")
    desk.server.now_ms = ms("2024-03-10 08:30")
    desk.update(series("funding"), "2024-03")
    assert stored(desk, series("funding"))["time"].iloc[-1] == ms("2024-03-10 08:00") + 7


def test_open_interest_is_known_five_minutes_after_its_stamp(desk: Desk) -> None:
    desk.server.now_ms = ms("2024-03-03 00:10")
    desk.update(series("metrics"), "2024-03")
    found = stored(desk, series("metrics"))
    assert found["time"].iloc[0] == ms("2024-03-01 00:05")
    assert len(found) == 2 * 288
    assert list(found.columns) == ["time", "open_interest", "open_interest_value"]


def test_months_before_the_listing_are_empty_and_not_asked_for_again(desk: Desk) -> None:
    desk.update(series("perp"), "2022-11")
    assert stored(desk, series("perp"))["time"].iloc[0] == world.LISTED
    desk.server.log.clear()
    outcome = desk.update(series("perp"), "2022-11")
    assert "2022-11" in outcome.kept
    assert desk.server.asked("klines|data/") == []


def test_a_repeated_run_repeats_nothing_and_a_later_one_adds_what_is_new(desk: Desk) -> None:
    desk.update(series("perp"), "2024-01")
    desk.server.log.clear()
    assert desk.update(series("perp"), "2024-01").written == []
    assert desk.server.asked("klines|data/|listing") == []
    desk.server.now_ms += 2 * HOUR
    assert desk.update(series("perp"), "2024-01").written == ["2024-03"]
    asked = desk.server.asked("fapi/v1/klines")
    assert len(asked) == 1
    assert f"startTime={NOON}" in asked[0]
    assert desk.server.asked("/data/") == []
    assert same(
        stored(desk, series("perp")), expected("perp", "BTCUSDT", "2024-01-01", NOON + 2 * HOUR)
    )


def test_bars_that_have_not_closed_are_never_stored_whatever_this_machines_clock_says(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The venue sends the bar of 12:00 at 12:45, still forming; this machine believes it is three
    # hours later, then three hours earlier.
    for offset, last in ((3 * HOUR, ms("2024-03-10 11:00")), (-3 * HOUR, ms("2024-03-10 08:00"))):
        monkeypatch.setattr("time.time", lambda offset=offset: (desk.server.now_ms + offset) / 1000)
        _now, note = desk.sources.clock_ms("binance")
        assert ("180 min ahead of" if offset > 0 else "180 min behind") in note
        fresh = Desk(desk.server, desk.store.root / str(offset))
        fresh.update(series("perp"), "2024-03")
        assert stored(fresh, series("perp"))["time"].iloc[-1] == last


def test_an_unknown_symbol_is_answered_with_names_and_leaves_nothing(desk: Desk) -> None:
    outcome = desk.update(series("perp", "BTCUSDC"), "2024-02")
    assert outcome.failures == [
        "binance/BTCUSDC/perp_1h: no data from 2024-02 on; binance: no linear perpetual BTCUSDC (of"
        " 3); near: BTCUSDT"
    ]
    assert desk.store.series() == []


def test_bars_of_five_minutes(desk: Desk) -> None:
    desk.server.now_ms = ms("2024-03-02 00:08")
    desk.update(series("perp", step="5m"), "2024-03")
    found = stored(desk, series("perp", step="5m"))
    assert (np.diff(found["time"]) == 5 * MINUTE).all()
    assert len(found) == 288


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("symbol", "../../etc", "expected letters, digits, dots and dashes"),
        ("venue", "a/b", "expected letters"),
        ("kind", "trades", "expected one of funding, perp"),
        ("step", "7h", "minutes or hours that divide a day"),
    ],
)
def test_a_series_that_cannot_be_is_refused(part: str, value: str, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        Series(
            **{"venue": "binance", "symbol": "BTCUSDT", "kind": "perp", "step": "1h"}
            | {part: value}
        )


def test_the_market_loads_what_was_downloaded_extra_columns_too(desk: Desk) -> None:
    for kind in ("funding", "perp", "spot", "mark", "premium"):
        assert desk.update(series(kind), "2024-01").failures == []
    market = load_market(desk.store.root, ["BTCUSDT"], extra={"premium_close": 1e-4})
    assert market.symbols == (("BTCUSDT",),)
    first, last = market.paths[0]
    closes = market.close_ns[first:last] // 1_000_000
    column = [feature.name for feature in market.table].index("premium_close")
    seen = market.features[first:last, 0, column]
    # the bar that closes with this row, no later one
    known = [world.bar("premium", int(close) - HOUR, HOUR)[3] / 1e-4 for close in closes]
    assert np.allclose(seen, known, rtol=1e-5)
