"""What Binance's archives lack, cut off or name otherwise."""

from __future__ import annotations

import dataclasses

import pytest

from tests.market.download import world
from tests.market.download.conftest import Desk
from tests.market.download.formats import binance_csv, ms, zipped
from tests.market.download.tables import NOON, expected, same, series, stored
from tests.market.download.world import HOUR


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


def test_a_mirror_without_a_listing_is_asked_for_every_name(desk: Desk) -> None:
    desk.sources.mirrors = dataclasses.replace(desk.sources.mirrors, binance_listing="none")
    desk.update(series("perp"), "2024-02")
    assert desk.server.asked("listing") == []
    assert same(stored(desk, series("perp")), expected("perp", "BTCUSDT", "2024-02-01", NOON))


def _sum(body: bytes, name: str) -> bytes:
    import hashlib

    return f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode()
