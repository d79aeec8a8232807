"""A data folder, a TOML or an archive that came from a stranger: nothing runs, and nothing is
written outside of the folder.
"""

from __future__ import annotations

import io
import lzma
import zipfile
from pathlib import Path

import pytest

from experiments.core.preset import read_preset
from fundenv.market import DataError, load_market
from fundenv.market.download import DownloadError, Http, Series, Sources, Store
from fundenv.market.download.archive import gunzip, unzip
from fundenv.market.download.store import MANIFEST
from fundenv.venues import VenueError, load_venue
from tests.market.download.conftest import QUICK, Desk
from tests.market.download.server import Server
from tests.market.download.tables import series as series_of

DEEP = "a = " + "[" * 100_000 + "]" * 100_000


def outside(tmp_path: Path) -> tuple[Path, Path]:
    """A folder elsewhere with a file in it, and the data folder."""
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "raw"
    for folder in (elsewhere, root):
        folder.mkdir(parents=True, exist_ok=True)
    (elsewhere / "precious").write_text("precious")
    return elsewhere, root


def untouched(elsewhere: Path) -> bool:
    files = {path.name: path.read_text() for path in elsewhere.iterdir()}
    return files == {"precious": "precious"}


@pytest.mark.parametrize("level", ["binance", "binance/BTCUSDT", "binance/BTCUSDT/perp_1h"])
def test_a_folder_that_is_a_link_is_not_written_through(
    desk: Desk, tmp_path: Path, level: str
) -> None:
    elsewhere, _ = outside(tmp_path / "there")
    link = desk.store.root / level
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(DownloadError, match=r"outside of .*remove the link"):
        desk.update(series_of("perp"), "2024-02")
    assert untouched(elsewhere)


def test_the_scratch_folder_may_not_be_a_link_either(tmp_path: Path) -> None:
    elsewhere, root = outside(tmp_path)
    (root / ".downloading").symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(DownloadError, match=r"outside of .*remove the link"):
        Sources(root).all()
    assert untouched(elsewhere)


def test_a_lock_or_a_month_that_is_a_link_leaves_its_target_alone(
    desk: Desk, tmp_path: Path
) -> None:
    elsewhere, _ = outside(tmp_path / "there")
    folder = desk.store.folder(series_of("perp"))
    folder.mkdir(parents=True)
    for name in (".lock", "2024-02.parquet", MANIFEST):
        if name != MANIFEST:
            (folder / name).symlink_to(elsewhere / "precious")
    desk.update(series_of("perp"), "2024-02")
    assert untouched(elsewhere)
    assert not (folder / "2024-02.parquet").is_symlink()


@pytest.mark.parametrize("name", ["x.zip.partial", "x.zip.validator"])
def test_what_is_being_downloaded_is_not_appended_to_a_link(
    server: Server, tmp_path: Path, name: str
) -> None:
    elsewhere, root = outside(tmp_path)
    (root / name).symlink_to(elsewhere / "precious")
    server.routes.insert(0, ("/x.zip", lambda match, query: b"0" * 100))
    Http(QUICK).file(server.url + "/x.zip", root / "x.zip")
    assert (root / "x.zip").read_bytes() == b"0" * 100
    assert untouched(elsewhere)


MANIFESTS = {
    "a month that leads out": ('[parts."../../../x"]\nrows = 0', "is no month"),
    "a month of another form": ('[parts."2024-13"]\nrows = 0', "is no month"),
    "nested too deep": (DEEP, "is damaged"),
    "parts that are none": ("parts = 3", "is damaged"),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_that_cannot_be_trusted_is_refused_in_one_line(
    tmp_path: Path, what: str
) -> None:
    text, message = MANIFESTS[what]
    folder = tmp_path / "binance" / "BTCUSDT" / "perp_1h"
    folder.mkdir(parents=True)
    told = "version = 1\n"
    series = (
        '[series]\nvenue = "binance"\nsymbol = "BTCUSDT"\nkind = "perp"\nstep = "1h"\nasked = []\n'
    )
    (folder / MANIFEST).write_text(
        told + (text + "\n" + series if "[parts" not in text else series + text)
    )
    with pytest.raises(DownloadError, match=message) as caught:
        Store(tmp_path).series()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc", ".hidden", "x" * 41, ""])
def test_a_symbol_or_a_venue_that_leads_out_is_no_series(name: str) -> None:
    for told in ({"venue": name, "symbol": "BTCUSDT"}, {"venue": "binance", "symbol": name}):
        with pytest.raises(DownloadError, match="expected letters, digits"):
            Series(**told, kind="perp", step="1h")


@pytest.mark.parametrize("month", ["../x", "2024-1", "2024-01/../..", ""])
def test_a_month_that_leads_out_has_no_file(tmp_path: Path, month: str) -> None:
    with pytest.raises(DownloadError, match="expected a name such as 2024-01"):
        Store(tmp_path).file(series_of("perp"), month)


def test_venues_and_presets_nested_too_deep_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "v.toml").write_text(DEEP)
    with pytest.raises(VenueError, match="not a TOML file"):
        load_venue(tmp_path / "v.toml")
    with pytest.raises(ValueError, match="is no TOML"):
        read_preset(str(tmp_path / "v.toml"))


def test_a_venue_extends_nothing_but_shipped_files(tmp_path: Path) -> None:
    (tmp_path / "v.toml").write_text('extends = "../../../etc/passwd"')
    with pytest.raises(VenueError, match="expected one of"):
        load_venue(tmp_path / "v.toml")


def packed(method: int, name: str = "x.csv", body: bytes = b"1,2\n") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, body)
    return out.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_packed_by_another_method_is_refused_before_it_is_unpacked(
    tmp_path: Path, method: int
) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(packed(method))
    with pytest.raises(DownloadError, match="packed by method"):
        unzip(path, "x.csv", 1000)
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


def test_an_archive_in_an_archive_is_no_table(tmp_path: Path) -> None:
    """A nested ZIP is bytes, never unpacked a second time."""
    inner = packed(zipfile.ZIP_DEFLATED, body=bytes(range(256)) * 10)
    (tmp_path / "x.zip").write_bytes(packed(zipfile.ZIP_DEFLATED, body=inner))
    with pytest.raises(DownloadError, match="not UTF-8 text"):
        unzip(tmp_path / "x.zip", "x.csv", 10_000)
    (tmp_path / "x.gz").write_bytes(__import__("gzip").compress(lzma.compress(b"0" * 10**6)))
    with pytest.raises(DownloadError, match="not UTF-8 text"):
        gunzip(tmp_path / "x.gz", 10_000)


def test_a_link_in_a_zip_is_text_and_becomes_no_link(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("x.csv")
    info.external_attr = 0o120777 << 16  # a symbolic link, as unix tools store it
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert unzip(tmp_path / "x.zip", "x.csv", 1000) == "/etc/passwd"
    assert [p.name for p in tmp_path.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "__import__('os').system('x')", "@SUM(1)"])
def test_a_cell_that_a_program_would_run_is_a_text_here(tmp_path: Path, cell: str) -> None:
    lines = ["time,rate", f'1704067200000,"{cell}"']
    (tmp_path / "binance_X_funding.csv").write_text("\n".join(lines))
    for kind in ("perp_1h", "spot_1h"):
        (tmp_path / f"binance_X_{kind}.csv").write_text(
            "time,open,high,low,close,volume\n1704067200000,1,1,1,1,1\n1704070800000,1,1,1,1,1\n"
        )
    with pytest.raises(DataError, match=r"column rate, row 0 .*expected a number"):
        load_market(tmp_path)
