"""Every fault that a server, a network or a stranger can bring: nothing lost, nothing doubled, nothing believed, one clear line."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import re
import struct
import time
import zipfile
from pathlib import Path

import pytest

from fundenv.market.download import DownloadError, Http, Missing, Span
from fundenv.market.download.archive import gunzip, unzip
from fundenv.market.download.tables import tidy
from tests.market.download.conftest import QUICK, Desk
from tests.market.download.formats import binance_csv, dumps, ms, zipped
from tests.market.download.server import Server
from tests.market.download.test_binance import NOON, expected, same, series, stored
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
    desk.server.fault(ARCHIVE, "truncate", change=lambda body: b"x" * len(body))  # another version, so another ETag was told
    assert february(desk) == ([], [])
    assert len(desk.server.asked(ARCHIVE)) == 2  # the second answer was taken from its start, the checksum did not have to tell


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
    with pytest.raises(DownloadError, match="429; it asks to wait 9000 s; run the same command again after that"):
        Http(QUICK).text(server.url + "/busy")


def test_a_refused_place_is_told_at_once(server: Server) -> None:
    server.fault("/", "status", status=451, times=9)
    with pytest.raises(DownloadError, match=r"answers 451; it refuses this place or network; use a mirror"):
        Http(QUICK).text(server.url + "/x")
    assert len(server.log) == 1


def test_what_is_not_there_is_missing(server: Server) -> None:
    with pytest.raises(Missing, match="404"):
        Http(QUICK).text(server.url + "/nothing")


def test_a_server_that_stays_broken_costs_only_its_own_part_and_the_next_run_mends_it(desk: Desk) -> None:
    desk.server.fault(r"\.zip|/listing", "status", status=500, times=10_000)
    desk.server.fault(INTERFACE + r".*startTime=17092", "status", status=500, times=10_000)
    outcome = desk.update(PERP, "2024-02")
    assert any("gave up after 4 tries" in line and "run the same command again" in line for line in outcome.failures)
    parts = desk.store.parts(PERP)
    assert parts["2024-02"].complete  # the interface had all of it
    assert not parts["2024-03"].complete
    desk.server.faults.clear()
    desk.server.log.clear()
    assert february(desk) == ([], [])
    assert desk.server.asked("2024-02") == []


def test_a_wrong_checksum_is_fetched_again(desk: Desk) -> None:
    desk.server.fault(ARCHIVE, "edit", change=lambda body: body[:-1] + b"?")
    assert february(desk) == ([], [])
    assert len(desk.server.asked(ARCHIVE)) == 2


def test_an_archive_whose_checksum_stays_wrong_is_left_and_the_days_are_taken(desk: Desk) -> None:
    desk.server.fault(ARCHIVE, "edit", change=lambda body: body[:-1] + b"?", times=99)
    failures, notes = february(desk)
    assert failures == []
    assert len(notes) == 1
    assert "is not the published" in notes[0]
    assert notes[0].endswith("another source filled in")
    assert not any("monthly" in source for source in desk.store.parts(PERP)["2024-02"].sources)


@pytest.mark.parametrize("text", [b"", b"<html>", b"0" * 64 + b"  another.zip"])
def test_a_checksum_file_that_is_none_is_not_believed(desk: Desk, text: bytes) -> None:
    desk.server.fault(r"2024-02\.zip\.CHECKSUM", "body", body=text, times=99)
    failures, notes = february(desk)
    assert failures == []
    assert "its checksum file says" in notes[0]


def republished(desk: Desk, name: str, body: bytes) -> None:
    """Put `body` in place of an archive, with a checksum that fits."""
    told = f"{hashlib.sha256(body).hexdigest()}  {name}\n".encode()
    desk.server.routes.insert(0, (rf".*/{name}", lambda match, query: body))
    desk.server.routes.insert(0, (rf".*/{name}\.CHECKSUM", lambda match, query: told))


def zip_of(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


CSV = binance_csv("perp", "BTCUSDT", "1h", "2024-02")
NAME = "BTCUSDT-1h-2024-02"


def lying(archive: bytes, size: int) -> bytes:
    """The same archive, its directory and header telling another unpacked size."""
    at = archive.index(b"PK\x01\x02") + 24
    archive = archive[:at] + struct.pack("<I", size) + archive[at + 4 :]
    return archive[:22] + struct.pack("<I", size) + archive[26:]


HOSTILE = {
    "bomb": (zip_of((f"{NAME}.csv", b"0" * 30_000_000)), "unpacks to more than 10 MiB; refused as a decompression bomb"),
    "lying bomb": (lying(zip_of((f"{NAME}.csv", b"0" * 30_000_000)), 1000), "not a sound ZIP archive|unpacks to more than"),
    "traversal": (zip_of((f"../../{NAME}.csv", CSV.encode())), "expected only 'BTCUSDT-1h-2024-02.csv'; refused"),
    "absolute path": (zip_of(("/etc/cron.d/x", CSV.encode())), "expected only 'BTCUSDT-1h-2024-02.csv'; refused"),
    "two members": (zip_of((f"{NAME}.csv", CSV.encode()), ("more.csv", b"1")), "'more.csv'; expected only"),
    "no ZIP": (b"<html>Welcome to this network</html>", "not a sound ZIP archive"),
    "no UTF-8": (zip_of((f"{NAME}.csv", CSV.encode() + b"\xff\xfe")), r"not UTF-8 text \(byte \d+\)"),
    "fewer columns": (zipped(f"{NAME}.csv", "1,2,3\n"), "3 columns; expected 12"),
    "ragged": (zipped(f"{NAME}.csv", CSV + "1,2,3,4,5,6,7,8,9,10,11,12,13\n"), "not a table|columns; expected 12"),
    "another column": (zipped(f"{NAME}.csv", CSV.replace("open,high", "high,open", 1)), "the format has changed"),
    "words for prices": (zipped(f"{NAME}.csv", CSV[: CSV.index("\n") + 1] + "1706745600000,a,b,c,d,1,1706749199999,0,1,0,0,0\n"), "expected a number"),
    "seconds": (zipped(f"{NAME}.csv", CSV.replace("1706745600000", "1706745600")), "epoch 1706745600; expected milliseconds or microseconds"),
    "bars of another length": (zipped(f"{NAME}.csv", binance_csv("perp", "BTCUSDT", "4h", "2024-02")), "bars of 240 minutes; expected 1h"),
    "off the grid": (zipped(f"{NAME}.csv", re.sub(r"\d{13}", lambda m: str(int(m[0]) + 1), CSV)), "696 of 696 rows hold no possible value"),
    "contradiction": (zipped(f"{NAME}.csv", CSV + CSV.splitlines()[-1].replace(",10.0,", ",11.0,") + "\n"), "two different rows at 2024-02-29 23:00"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_an_archive_that_cannot_be_trusted_is_refused_and_leaves_nothing(desk: Desk, what: str) -> None:
    body, message = HOSTILE[what]
    republished(desk, f"{NAME}.zip", body)
    source = desk.sources.all()[0]
    (piece,) = source.pieces(PERP, Span(ms("2024-02-01"), ms("2024-03-01")))
    with pytest.raises(DownloadError, match=message) as caught:
        tidy(source.fetch(piece), PERP, f"{NAME}.zip")
    assert "\n" not in str(caught.value)
    assert [path for path in desk.store.root.parent.rglob("*") if path.is_file()] == []


def test_where_an_archive_is_refused_the_days_and_the_interface_are_asked(desk: Desk) -> None:
    republished(desk, f"{NAME}.zip", HOSTILE["bomb"][0])
    failures, notes = february(desk)
    assert failures == []
    assert len(notes) == 1
    assert notes[0].endswith("refused as a decompression bomb; another source filled in")
    assert {path.name for path in desk.store.root.rglob("*") if path.is_file()} == {
        "2024-02.parquet",
        "2024-03.parquet",
        "manifest.toml",
        ".lock",
    }


def test_the_size_told_by_an_archive_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(lying(zip_of(("x.csv", b"0" * 3_000_000)), 1000))
    with pytest.raises(DownloadError):
        unzip(path, "x.csv", 100_000)


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"0" * 30_000_000))
    with pytest.raises(DownloadError, match=r"x.csv.gz: unpacks to more than 1 MiB; refused as a decompression bomb"):
        gunzip(path, 2**20)
    path.write_bytes(gzip.compress(b"0" * 1000)[:-4])
    with pytest.raises(DownloadError, match="not a sound gzip file"):
        gunzip(path, 2**20)


@pytest.mark.parametrize("how", [{"kind": "drip", "seconds": 0.2}, {"kind": "unsaid"}], ids=["by its word", "by its bytes"])
def test_an_oversized_archive_is_refused(server: Server, tmp_path: Path, how: dict[str, object]) -> None:
    http = Http(dataclasses.replace(QUICK, largest=10_000))
    server.routes.insert(0, ("/big.zip", lambda match, query: b"0" * 50_000))
    server.fault("/big.zip", times=9, **how)
    with pytest.raises(DownloadError, match=r"the answer exceeds 0\.0095\d* MiB; refused"):
        http.file(server.url + "/big.zip", tmp_path / "big.zip")
    assert list(tmp_path.iterdir()) == []


def test_repeated_and_shuffled_rows_are_put_right_and_told(desk: Desk) -> None:
    lines = CSV.splitlines(keepends=True)
    shuffled = lines[:1] + lines[300:] + lines[1:300] + lines[200:250]
    republished(desk, f"{NAME}.zip", zipped(f"{NAME}.csv", "".join(shuffled)))
    failures, notes = february(desk)
    assert failures == []
    assert notes == [f"{NAME}.zip: rows were out of order", f"{NAME}.zip: 50 repeated row(s) dropped"]


def test_a_stray_bar_off_the_grid_is_dropped_and_told(desk: Desk) -> None:
    stray = CSV.replace("1706745600000", "1706745600001", 1)
    republished(desk, f"{NAME}.zip", zipped(f"{NAME}.csv", stray))
    failures, notes = february(desk)
    assert failures == []
    assert notes == [f"{NAME}.zip: 1 row(s) with an impossible value dropped, the first at 2024-02-01 00:00"]


def test_impossible_bars_become_gaps_that_other_sources_fill(desk: Desk) -> None:
    broken = CSV.replace(CSV.splitlines()[5].split(",")[2], "1.0", 1)  # a high below open and close
    republished(desk, f"{NAME}.zip", zipped(f"{NAME}.csv", broken))
    failures, notes = february(desk)
    assert failures == []
    assert notes == [f"{NAME}.zip: 1 row(s) with an impossible value dropped, the first at 2024-02-01 04:00"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: b"<html>Please log in", "is no JSON but b'<html>Please"),
        (lambda body: body[:-2] + b"\xff]]", "is not UTF-8 text"),
        (lambda body: b'{"code": -4999, "msg": "nope"}', "nope"),
        (lambda body: b"[[1709251200000]]", "hold no possible value"),
        (lambda body: b" " * 2**21 + body, "the answer exceeds 1 MiB; refused"),
        (lambda body: re.sub(rb', "', b', "x', body), "hold no possible value"),
    ],
    ids=["html", "not UTF-8", "error object", "short row", "oversized", "words"],
)
def test_an_answer_of_the_interface_that_cannot_be_trusted_is_refused(desk: Desk, change: object, message: str) -> None:
    rest = Desk(desk.server, desk.store.root, names=("rest",))
    desk.server.fault(INTERFACE, "edit", change=change, times=10_000)
    outcome = rest.update(PERP, "2024-03")
    assert re.search(message, "; ".join(outcome.failures))
    assert not any(part.complete for part in rest.store.parts(PERP).values())
    desk.server.faults.clear()
    outcome = rest.update(PERP, "2024-03")
    assert outcome.failures == []
    found = stored(rest, PERP)
    assert same(found, expected("perp", "BTCUSDT", "2024-03-01", NOON))


def test_pages_shuffled_doubled_and_shorter_than_promised_lose_nothing(desk: Desk) -> None:
    def unkind(body: bytes) -> bytes:
        rows = json.loads(body)[:100]  # the venue has lowered its limit without a word
        return dumps(rows[50:] + rows[:50] + rows[:10])

    rest = Desk(desk.server, desk.store.root, names=("rest",))
    desk.server.fault(INTERFACE, "edit", change=unkind, times=10_000)
    outcome = rest.update(PERP, "2024-02")
    assert outcome.failures == []
    assert same(stored(rest, PERP), expected("perp", "BTCUSDT", "2024-02-01", NOON))


@pytest.mark.parametrize("second", [{}, {"fundingRate": "0.01"}], ids=["agreeing", "contradicting"])
def test_settlements_told_twice_are_one_or_none(desk: Desk, second: dict[str, str]) -> None:
    def twice(body: bytes) -> bytes:
        return dumps([r for row in json.loads(body) for r in (row, row | {"fundingTime": row["fundingTime"] + 3} | second)])

    rest = Desk(desk.server, desk.store.root, names=("rest",))
    desk.server.fault("fundingRate", "edit", change=twice, times=9)
    outcome = rest.update(series("funding"), "2024-03")
    if second:
        assert "two different settlements at 2024-03-01 00:00; the source contradicts itself" in outcome.failures[0]
    else:
        assert outcome.failures == []
        assert len(stored(rest, series("funding"))) == 9 * 3 + 2


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
