"""Every fault that a server, a network or a stranger can bring: nothing lost, nothing doubled,
nothing believed, one clear line.
"""

from __future__ import annotations

import time

import pytest

from fundenv.market.download import DownloadError, Http, Missing
from tests.market.download.conftest import QUICK, Desk
from tests.market.download.formats import ms
from tests.market.download.server import Server
from tests.market.download.tables import NOON, expected, same, series, stored
from tests.market.download.world import HOUR

PERP = series("perp")
ARCHIVE = r"monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-02.zip$"
INTERFACE = r"/fapi/v1/klines"


def february(desk: Desk) -> tuple[list[str], list[str]]:
    """Download February and March, see that every row came once; failures and notes."""
    outcome = desk.update(PERP, "2024-02")
    assert same(stored(desk, PERP), expected("perp", "BTCUSDT", "2024-02-01", NOON))
    return outcome.failures, outcome.notes


@pytest.mark.parametrize("where", [ARCHIVE, INTERFACE])
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
        {"kind": "status", "status": 418},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503, "times": 3},
        {"kind": "truncate"},
        {"kind": "truncate", "times": 3},
        {"kind": "reset"},
        {"kind": "drip"},
        {"kind": "slow", "seconds": 2.2},
    ],
    ids=lambda fault: "-".join(str(v) for v in fault.values()),
)
def test_a_passing_fault_is_ridden_out(desk: Desk, where: str, fault: dict[str, object]) -> None:
    desk.server.fault(where, **fault)
    assert february(desk) == ([], [])
    assert len(desk.server.asked(where)) >= 1 + int(fault.get("times", 1))  # it did happen
    assert desk.server.asked("daily.*-02-") == []  # and no other source had to help


def test_a_broken_transfer_goes_on_where_it_stopped(desk: Desk) -> None:
    desk.server.fault(ARCHIVE, "truncate", times=2)
    february(desk)
    sizes = [int(line.split()[1]) for line in desk.server.ranges]
    assert len(sizes) == 2
    assert 0 < sizes[0] < sizes[1]


def test_a_file_that_changed_meanwhile_is_not_joined_from_two_halves(desk: Desk) -> None:
    # another version, so another ETag was told
    desk.server.fault(ARCHIVE, "truncate", change=lambda body: b"x" * len(body))
    assert february(desk) == ([], [])
    # the second answer was taken from its start, the checksum did not have to tell
    assert len(desk.server.asked(ARCHIVE)) == 2


def test_a_server_without_ranges_is_asked_from_the_start(desk: Desk) -> None:
    desk.server.ranged = False
    desk.server.fault(ARCHIVE, "truncate")
    assert february(desk) == ([], [])
    assert desk.server.ranges == []


def test_retry_after_is_heeded(server: Server) -> None:
    server.routes.insert(0, ("/busy", lambda match, query: b"done"))
    server.fault("/busy", "status", status=429, headers={"Retry-After": "1"})
    started = time.monotonic()
    assert Http(QUICK).text(server.url + "/busy") == "done"
    assert time.monotonic() - started >= 1.0


def test_a_server_that_asks_for_too_long_a_wait_ends_the_attempt(server: Server) -> None:
    server.fault("/busy", "status", status=429, headers={"Retry-After": "9000"})
    with pytest.raises(
        DownloadError, match="429; it asks to wait 9000 s; run the same command again after that"
    ):
        Http(QUICK).text(server.url + "/busy")


def test_a_refused_place_is_told_at_once(server: Server) -> None:
    server.fault("/", "status", status=451, times=9)
    with pytest.raises(
        DownloadError, match=r"answers 451; it refuses this place or network; use a mirror"
    ):
        Http(QUICK).text(server.url + "/x")
    assert len(server.log) == 1


def test_what_is_not_there_is_missing(server: Server) -> None:
    with pytest.raises(Missing, match="404"):
        Http(QUICK).text(server.url + "/nothing")


def test_a_server_that_stays_broken_costs_only_its_own_part_and_the_next_run_mends_it(
    desk: Desk,
) -> None:
    desk.server.fault(r"\.zip|/listing", "status", status=500, times=10_000)
    desk.server.fault(INTERFACE + r".*startTime=17092", "status", status=500, times=10_000)
    outcome = desk.update(PERP, "2024-02")
    assert any(
        "gave up after 4 tries" in line and "run the same command again" in line
        for line in outcome.failures
    )
    parts = desk.store.parts(PERP)
    assert parts["2024-02"].complete  # the interface had all of it
    assert not parts["2024-03"].complete
    desk.server.faults.clear()
    desk.server.log.clear()
    assert february(desk) == ([], [])
    assert desk.server.asked("2024-02") == []


def test_a_hang_does_not_hold_the_interface_for_ever(desk: Desk) -> None:
    rest = Desk(desk.server, desk.store.root, names=("rest",))
    desk.server.fault(INTERFACE, "drip", times=99, seconds=0.2)
    started = time.monotonic()
    outcome = rest.update(PERP, "2024-03")
    assert "bytes came in" in outcome.failures[0]
    assert time.monotonic() - started < 20


def test_the_day_of_the_fixture() -> None:
    assert ms("2024-03-10 12:00") == NOON
    assert NOON % HOUR == 0
