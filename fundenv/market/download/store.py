"""The folder of a series: one Parquet file a month, and `manifest.toml`, which describes each file
and says whether it is complete.

    {root}/{venue}/{symbol}/{kind}[_{step}]/2024-01.parquet, manifest.toml

A month is written to a temporary file and renamed; then the manifest is, too. A process that is
killed leaves the old state, or a file that is not in the manifest. The SHA-256 in the manifest
shows which, and such a month is fetched again. One process at a time works on a series (a file
lock).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from fundenv.market.download.archive import sha256
from fundenv.market.download.http import needed
from fundenv.market.download.series import DownloadError, Series
from fundenv.market.download.tables import stored, unstored

MANIFEST = "manifest.toml"
VERSION = 1
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_LARGEST_MANIFEST = 16 * 2**20  # bytes; twenty years of months hold a hundredth of it


@dataclass(frozen=True, kw_only=True)
class Part:
    """One month.

    Attributes:
        rows: number of rows; 0: no file. sha256: of the file, empty without one. first, last:
        `time` of the first and the last row as stored; None without rows. covered: instant up to
        which every source has answered (UTC); later rows are still to come. complete: no rows are
        still to come, and later runs do not fetch the month. sources: addresses of the rows.
        fetched: when. notes: rows that were dropped or are missing.
    """

    rows: int
    sha256: str = ""
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    covered: dt.datetime
    complete: bool
    sources: list[str] = field(default_factory=list)
    fetched: dt.datetime
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Store:
    """A data folder."""

    root: Path

    def folder(self, series: Series) -> Path:
        """The folder of a series. Raises `DownloadError` if a link leads out of the data folder."""
        return within(self.root, self.root / series.folder)

    def series(self) -> list[Series]:
        """Every series in the folder that has a manifest."""
        return [self._document(path)[0] for path in sorted(self.root.glob(f"*/*/*/{MANIFEST}"))]

    def parts(self, series: Series) -> dict[str, Part]:
        """Month -> its entry in the manifest, in order; empty without a manifest."""
        path = self.folder(series) / MANIFEST
        return self._document(path)[1] if path.exists() else {}

    def file(self, series: Series, month: str) -> Path:
        """The file of a month."""
        if not _MONTH.fullmatch(month):
            raise DownloadError(f"month {month!r}: expected a name such as 2024-01")
        return self.folder(series) / f"{month}.parquet"

    def damage(self, series: Series, month: str, part: Part) -> str:
        """A sentence that says what is wrong with the file of a month; empty where it is the file
        that the manifest describes.
        """
        path = self.file(series, month)
        if not part.rows:
            return f"{path} exists, the manifest knows of no rows" if path.exists() else ""
        if not path.exists():
            return f"{path} is missing"
        found = sha256(path)
        return (
            ""
            if found == part.sha256
            else f"{path}: checksum {found[:12]}.. is not the manifest's {part.sha256[:12]}.."
        )

    def read(self, series: Series, month: str) -> pd.DataFrame:
        """Rows of a month as sources give them (`time` int64 ms, a bar's open)."""
        return unstored(pd.read_parquet(self.file(series, month)), series)

    def write(self, series: Series, month: str, table: pd.DataFrame, **described: Any) -> Part:
        """Replace a month by `table` (in the form of sources), then its entry in the manifest.
        Needs the lock.
        """
        folder, path = self.folder(series), self.file(series, month)
        digest, first, last = "", None, None
        if len(table):
            kept = stored(table, series)
            first, last = (kept["time"].iloc[i].to_pydatetime() for i in (0, -1))
            write_whole(path, lambda partial: kept.to_parquet(partial, index=False))
            digest = sha256(path)
        else:
            path.unlink(missing_ok=True)
        part = Part(
            rows=len(table), sha256=digest, first=first, last=last, fetched=_now(), **described
        )
        parts = dict(sorted((self.parts(series) | {month: part}).items()))
        document = {
            "version": VERSION,
            "series": asdict(series),
            "parts": {name: _plain(part) for name, part in parts.items()},
        }
        text = needed("tomli_w").dumps(document)
        write_whole(folder / MANIFEST, lambda partial: partial.write_text(text, encoding="utf-8"))
        return part

    def forget(self, series: Series) -> None:
        """Remove the manifest: every month counts as not fetched. Needs the lock."""
        (self.folder(series) / MANIFEST).unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, series: Series, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Lock the series; `waiting` is called if another process has the lock. Removes the
        temporary files of a process that was killed.
        """
        filelock = needed("filelock")
        folder = self.folder(series)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / ".lock").is_symlink():
            (folder / ".lock").unlink()  # taking the lock would empty the file that it leads to
        lock = filelock.FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waiting()
            lock.acquire()
        try:
            for left in folder.glob(".*.partial"):
                left.unlink()
            yield
        finally:
            lock.release()

    def _document(self, path: Path) -> tuple[Series, dict[str, Part]]:
        try:
            if path.stat().st_size > _LARGEST_MANIFEST:
                raise ValueError(f"it exceeds {_LARGEST_MANIFEST / 2**20:g} MiB")
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            told = document["series"]
            series = Series(
                **told | {"asked": tuple((venue, symbol) for venue, symbol in told["asked"])}
            )
            odd = [month for month in document["parts"] if not _MONTH.fullmatch(month)]
            if odd:
                raise ValueError(f"{odd[0]!r} is no month")
            parts = {month: Part(**part) for month, part in document["parts"].items()}
        except (
            tomllib.TOMLDecodeError,
            UnicodeDecodeError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            RecursionError,
        ) as error:
            raise DownloadError(
                f"{path} is damaged ({' '.join(str(error).split())}); delete it: its months are"
                " then fetched again"
            ) from None
        if document.get("version") != VERSION or path.parent != self.folder(series):
            raise DownloadError(
                f"{path}: of version {document.get('version')} and for {series.folder}; expected"
                f" {VERSION} and its own folder"
            )
        return series, parts


def within(root: Path, path: Path) -> Path:
    """`path`, which must be below `root`. Raises `DownloadError` where a link in a copied folder
    leads out of it.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise DownloadError(
            f"{path} leads to {path.resolve()}, outside of {root}; remove the link: nothing is"
            " written through it"
        )
    return path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, then rename it: on the disk `path` is always the whole old
    file or the whole new one.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)  # it may be a link
    try:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _plain(part: Part) -> dict[str, Any]:
    return {name: value for name, value in asdict(part).items() if value is not None}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)
