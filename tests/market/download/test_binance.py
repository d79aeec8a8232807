"""From Binance's formats to the rows in the store: every row that was published, once, at its
time.
"""

from __future__ import annotations

import dataclasses
import tomllib

import numpy as np
import pandas as pd
import pytest

from fundenv.market import load_market
from fundenv.market.download import DownloadError, Series
from fundenv.market.files.read import read_table
from tests.market.download import world
from tests.market.download.conftest import Desk
from tests.market.download.formats import MINUTE, binance_csv, ms, zipped
from tests.market.download.world import HOUR

NOON = ms("2024-03-10 12:00")


def series(kind: str, symbol: str = "BTCUSDT", **more: object) -> Series:
    step = "" if kind in ("funding", "metrics") else "1h"
    return Series(**{"venue": "binance", "symbol": symbol, "kind": kind, "step": step} | more)


def stored(desk: Desk, wanted: Series) -> pd.DataFrame:
    table = read_table(desk.store.folder(wanted), "extra")
    return table.assign(time=table["time"].astype("int64") // 1_000_000)


def expected(kind: str, symbol: str, start: str, end: int) -> pd.DataFrame:
    times = world.opens(symbol, kind, ms(start), end, HOUR)
    rows = pd.DataFrame(
        [(t, *world.bar(kind, t, HOUR)) for t in times],
        columns=["time", "open", "high", "low", "close", "volume"],
    )
    return rows if kind in ("perp", "spot") else rows.drop(columns="volume")


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> bool:
    return (
        list(found.columns) == list(wanted.columns)
        and len(found) == len(wanted)
        and np.allclose(found, wanted, rtol=1e-12, atol=0)
    )


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


def test_microsecond_epochs_of_the_spot_archive(desk: Desk) -> None:
    assert str(1735689600000000) in binance_csv("spot", "BTCUSDT", "1h", "2025-01")
    desk.server.now_ms = ms("2025-02-10 00:30")
    # the archives were read: nothing else had to fill in
    assert desk.update(series("spot"), "2024-12").notes == []
    assert same(
        stored(desk, series("spot")), expected("spot", "BTCUSDT", "2024-12-01", ms("2025-02-10"))
    )


def test_archives_without_a_header_line(desk: Desk) -> None:
    assert binance_csv("perp", "BTCUSDT", "1h", "2023-06")[0].isdigit()
    assert binance_csv("perp", "BTCUSDT", "1h", "2023-07").startswith("open_time,")
    desk.server.now_ms = ms("2023-08-05 00:06")
    assert desk.update(series("perp"), "2023-06").notes == []
    assert same(
        stored(desk, series("perp")), expected("perp", "BTCUSDT", "2023-06-01", ms("2023-08-05"))
    )


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


def test_the_turn_of_a_month_neither_loses_nor_doubles_a_row(desk: Desk) -> None:
    desk.update(series("perp"), "2024-03")
    for day in ("2024-04-01 00:06", "2024-04-01 01:30", "2024-04-20 05:06"):
        desk.server.now_ms = ms(day)
        desk.update(series("perp"), "2024-03")
        assert same(
            stored(desk, series("perp")),
            expected("perp", "BTCUSDT", "2024-03-01", ms(day) // HOUR * HOUR),
        ), day
    assert desk.store.parts(series("perp"))["2024-03"].complete


def test_what_ended_minutes_ago_is_left_for_the_next_run(desk: Desk) -> None:
    desk.server.now_ms = ms("2024-03-01 00:04")
    for kind in ("perp", "funding"):
        desk.update(series(kind), "2024-02")
        assert not desk.store.parts(series(kind))["2024-02"].complete
    assert stored(desk, series("perp"))["time"].iloc[-1] == ms("2024-02-29 22:00")
    desk.server.now_ms = ms("2024-03-01 00:06")
    for kind in ("perp", "funding"):
        desk.update(series(kind), "2024-02")
        assert desk.store.parts(series(kind))["2024-02"].complete
    assert stored(desk, series("perp"))["time"].iloc[-1] == ms("2024-02-29 23:00")


def test_what_no_archive_holds_yet_is_asked_for_until_one_does(desk: Desk) -> None:
    archives = Desk(desk.server, desk.store.root, names=("archives",))
    archives.server.now_ms = ms("2024-03-01 12:30")
    for kind in ("perp", "funding"):
        outcome = archives.update(series(kind), "2024-01")
        assert (outcome.failures, outcome.notes) == ([], []), kind
    assert "2024-02" not in [
        month for month, part in archives.store.parts(series("funding")).items() if part.complete
    ]
    archives.server.now_ms = ms("2024-03-04 12:30")
    for kind in ("perp", "funding"):
        archives.update(series(kind), "2024-01")
        assert archives.store.parts(series(kind))["2024-02"].complete, kind
    assert same(
        stored(archives, series("perp")),
        expected("perp", "BTCUSDT", "2024-01-01", ms("2024-03-04")),
    )
    assert len(stored(archives, series("funding"))) == (31 + 29) * 3


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


def test_a_truncated_monthly_archive_is_patched_from_the_daily_ones(desk: Desk) -> None:
    short = "".join(binance_csv("perp", "BTCUSDT", "1h", "2024-02").splitlines(keepends=True)[:-72])
    body = zipped("BTCUSDT-1h-2024-02.csv", short)
    desk.server.routes.insert(0, (r".*/monthly/.*-2024-02\.zip", lambda match, query: body))
    desk.server.routes.insert(
        0,
        (
            r".*/monthly/.*-2024-02\.zip\.CHECKSUM",
            lambda match, query: _sum(body, "BTCUSDT-1h-2024-02.zip"),
        ),
    )
    desk.update(series("perp"), "2024-02")
    assert same(stored(desk, series("perp")), expected("perp", "BTCUSDT", "2024-02-01", NOON))
    assert [
        line for line in desk.server.asked("daily.*-02-2[0-9].zip$") if "2024-02-26" in line
    ] == []
    assert len(desk.server.asked(r"daily.*-02-2[789].zip$")) == 3


def test_a_gap_that_no_source_can_fill_stays_one_and_is_told(desk: Desk) -> None:
    outcome = desk.update(series("spot"), "2024-02")
    assert outcome.notes == ["no rows 2024-02-06 07:00 .. 2024-02-06 10:00: no source has any"]
    assert desk.store.parts(series("spot"))["2024-02"].notes == outcome.notes


def test_a_delisted_contract_ends_where_it_ended(desk: Desk) -> None:
    outcome = desk.update(series("perp", "OLDUSDT"), "2024-01")
    assert same(
        stored(desk, series("perp", "OLDUSDT")), expected("perp", "OLDUSDT", "2024-01-01", NOON)
    )
    assert outcome.failures == []
    assert desk.store.parts(series("perp", "OLDUSDT"))["2024-02"].rows == 0


def test_a_renamed_contract_is_one_table(desk: Desk) -> None:
    wanted = series("perp", "NEWUSDT", asked=(("binance", "NEWUSDT"), ("binance", "OLDUSDT")))
    desk.update(wanted, "2024-01")
    assert same(stored(desk, wanted), expected("perp", "BTCUSDT", "2024-01-01", NOON))
    assert any("OLDUSDT" in source for source in desk.store.parts(wanted)["2024-01"].sources)


def test_two_coins_are_not_joined_as_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(world.BEGUN, "NEWUSDT", ms("2024-02-15"))
    monkeypatch.setitem(world.ENDED, "OLDUSDT", ms("2024-02-15"))
    body = zipped(
        "OLDUSDT-1h-2024-02.csv",
        binance_csv("perp", "OLDUSDT", "1h", "2024-02").replace(",3", ",3000"),
    )
    desk.server.routes.insert(0, (r".*/OLDUSDT-1h-2024-02\.zip", lambda match, query: body))
    desk.server.routes.insert(
        0,
        (
            r".*/OLDUSDT-1h-2024-02\.zip\.CHECKSUM",
            lambda match, query: _sum(body, "OLDUSDT-1h-2024-02.zip"),
        ),
    )
    outcome = desk.update(
        series("perp", "NEWUSDT", asked=(("binance", "NEWUSDT"), ("binance", "OLDUSDT"))), "2024-02"
    )
    assert any(
        "OLDUSDT's prices do not continue NEWUSDT's" in line
        for line in outcome.notes + outcome.failures
    )


def test_an_unknown_symbol_is_answered_with_names_and_leaves_nothing(desk: Desk) -> None:
    outcome = desk.update(series("perp", "BTCUSDC"), "2024-02")
    assert outcome.failures == [
        "binance/BTCUSDC/perp_1h: no data from 2024-02 on; binance: no linear perpetual BTCUSDC (of"
        " 3); near: BTCUSDT"
    ]
    assert desk.store.series() == []


def test_a_mirror_without_a_listing_is_asked_for_every_name(desk: Desk) -> None:
    desk.sources.mirrors = dataclasses.replace(desk.sources.mirrors, binance_listing="none")
    desk.update(series("perp"), "2024-02")
    assert desk.server.asked("listing") == []
    assert same(stored(desk, series("perp")), expected("perp", "BTCUSDT", "2024-02-01", NOON))


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


def _sum(body: bytes, name: str) -> bytes:
    import hashlib

    return f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode()
