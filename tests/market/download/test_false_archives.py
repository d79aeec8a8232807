"""Archives that cannot be trusted: a wrong checksum, a false size, a bomb, a file put there anew.
None is believed, and other sources fill the gap.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import re
import struct
import zipfile
from pathlib import Path

import pytest

from fundenv.market.download import DownloadError, Http, Span
from fundenv.market.download.archive import gunzip, unzip
from fundenv.market.download.tables import tidy
from tests.market.download.conftest import QUICK, Desk
from tests.market.download.formats import binance_csv, ms, zipped
from tests.market.download.server import Server
from tests.market.download.test_faults import ARCHIVE, PERP, february


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
    "bomb": (
        zip_of((f"{NAME}.csv", b"0" * 30_000_000)),
        "unpacks to more than 10 MiB; refused as a decompression bomb",
    ),
    "lying bomb": (
        lying(zip_of((f"{NAME}.csv", b"0" * 30_000_000)), 1000),
        "not a sound ZIP archive|unpacks to more than",
    ),
    "traversal": (
        zip_of((f"../../{NAME}.csv", CSV.encode())),
        "expected only 'BTCUSDT-1h-2024-02.csv'; refused",
    ),
    "absolute path": (
        zip_of(("/etc/cron.d/x", CSV.encode())),
        "expected only 'BTCUSDT-1h-2024-02.csv'; refused",
    ),
    "two members": (
        zip_of((f"{NAME}.csv", CSV.encode()), ("more.csv", b"1")),
        "'more.csv'; expected only",
    ),
    "no ZIP": (b"<html>Welcome to this network</html>", "not a sound ZIP archive"),
    "no UTF-8": (
        zip_of((f"{NAME}.csv", CSV.encode() + b"\xff\xfe")),
        r"not UTF-8 text \(byte \d+\)",
    ),
    "fewer columns": (zipped(f"{NAME}.csv", "1,2,3\n"), "3 columns; expected 12"),
    "ragged": (
        zipped(f"{NAME}.csv", CSV + "1,2,3,4,5,6,7,8,9,10,11,12,13\n"),
        "not a table|columns; expected 12",
    ),
    "another column": (
        zipped(f"{NAME}.csv", CSV.replace("open,high", "high,open", 1)),
        "the format has changed",
    ),
    "words for prices": (
        zipped(
            f"{NAME}.csv",
            CSV[: CSV.index("\n") + 1] + "1706745600000,a,b,c,d,1,1706749199999,0,1,0,0,0\n",
        ),
        "expected a number",
    ),
    "seconds": (
        zipped(f"{NAME}.csv", CSV.replace("1706745600000", "1706745600")),
        "epoch 1706745600; expected milliseconds or microseconds",
    ),
    "bars of another length": (
        zipped(f"{NAME}.csv", binance_csv("perp", "BTCUSDT", "4h", "2024-02")),
        "bars of 240 minutes; expected 1h",
    ),
    "off the grid": (
        zipped(f"{NAME}.csv", re.sub(r"\d{13}", lambda m: str(int(m[0]) + 1), CSV)),
        "696 of 696 rows hold no possible value",
    ),
    "contradiction": (
        zipped(f"{NAME}.csv", CSV + CSV.splitlines()[-1].replace(",10.0,", ",11.0,") + "\n"),
        "two different rows at 2024-02-29 23:00",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_an_archive_that_cannot_be_trusted_is_refused_and_leaves_nothing(
    desk: Desk, what: str
) -> None:
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
    with pytest.raises(
        DownloadError,
        match=r"x.csv.gz: unpacks to more than 1 MiB; refused as a decompression bomb",
    ):
        gunzip(path, 2**20)
    path.write_bytes(gzip.compress(b"0" * 1000)[:-4])
    with pytest.raises(DownloadError, match="not a sound gzip file"):
        gunzip(path, 2**20)


@pytest.mark.parametrize(
    "how",
    [{"kind": "drip", "seconds": 0.2}, {"kind": "unsaid"}],
    ids=["by its word", "by its bytes"],
)
def test_an_oversized_archive_is_refused(
    server: Server, tmp_path: Path, how: dict[str, object]
) -> None:
    http = Http(dataclasses.replace(QUICK, largest=10_000))
    server.routes.insert(0, ("/big.zip", lambda match, query: b"0" * 50_000))
    server.fault("/big.zip", times=9, **how)
    with pytest.raises(DownloadError, match=r"the answer exceeds 0\.0095\d* MiB; refused"):
        http.file(server.url + "/big.zip", tmp_path / "big.zip")
    assert list(tmp_path.iterdir()) == []
