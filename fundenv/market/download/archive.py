"""Open downloaded archives safely: the checksum is right, there is one member with the expected
name, it is small enough and it is text.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from fundenv.market.download.series import DownloadError


class Corrupt(DownloadError):
    """The downloaded file is not the one that was published."""


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sum(path: Path, text: str, name: str) -> None:
    """Compare a file with the line "<sha256>  <name>" that the venue publishes beside it. Raises
    `DownloadError` where the checksum differs.
    """
    words = text.split()
    if len(words) != 2 or words[1].lstrip("*") != name or len(words[0]) != 64:
        raise DownloadError(
            f"{name}: its checksum file says {text[:100]!r}; expected '<sha256>  {name}'; try again"
            " later"
        )
    found = sha256(path)
    if found != words[0].lower():
        raise Corrupt(
            f"{name}: checksum {found[:12]}.. is not the published {words[0][:12]}..; the download"
            " is damaged or was altered"
        )


def unzip(path: Path, member: str, largest: int) -> str:
    """The text of the only member of a ZIP. Nothing is written to disk. Raises `DownloadError` for
    anything unexpected.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist()]
            if names != [member]:
                raise DownloadError(
                    f"{path.name}: holds {', '.join(map(repr, names[:3]))}; expected only"
                    f" {member!r}; refused"
                )
            info = archive.infolist()[0]
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DownloadError(
                    f"{path.name}: packed by method {info.compress_type}; expected stored or"
                    " deflated, as the venue does; refused"
                )
            if info.file_size > largest:
                raise _bomb(path, largest)
            with archive.open(member) as file:
                raw = file.read(largest + 1)  # the size in the directory may be wrong
                if len(raw) > largest:
                    raise _bomb(path, largest)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
    ) as error:
        raise DownloadError(
            f"{path.name}: not a sound ZIP archive ({error}); it will be fetched again next time"
        ) from error
    return decode(raw, path.name)


def gunzip(path: Path, largest: int) -> str:
    """The text of a gzip file. Raises `DownloadError` for anything unexpected."""
    try:
        with gzip.open(path) as file:
            raw = file.read(largest + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError, OSError) as error:
        raise DownloadError(
            f"{path.name}: not a sound gzip file ({error}); it will be fetched again next time"
        ) from error
    if len(raw) > largest:
        raise _bomb(path, largest)
    return decode(raw, path.name)


def decode(raw: bytes, name: str) -> str:
    """UTF-8 text. Raises `DownloadError` with the place of the first byte that is none."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DownloadError(f"{name}: not UTF-8 text (byte {error.start}); refused") from None


def read_rows(text: str, columns: tuple[str, ...], used: int, name: str) -> pd.DataFrame:
    """A CSV with or without a header line as columns of text; no rows give an empty table.

    A first line that begins with the first name of `columns` is a header; the first `used` names
    must then be these. Raises `DownloadError` where the names or the number of columns differ.
    """
    if not text.strip():
        return pd.DataFrame({c: [] for c in columns}, dtype=str)
    try:
        rows = pd.read_csv(
            io.StringIO(text), header=None, dtype=str, skip_blank_lines=True, na_filter=False
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise DownloadError(
            f"{name}: not a table ({' '.join(str(error).split())}); the format has changed"
        ) from error
    if rows.shape[1] != len(columns):
        raise DownloadError(
            f"{name}: {rows.shape[1]} columns; expected {len(columns)} ({', '.join(columns)}); the"
            " format has changed"
        )
    rows.columns = pd.Index(columns)
    if str(rows.iloc[0, 0]) == columns[0]:
        found = tuple(str(value) for value in rows.iloc[0])
        if found[:used] != columns[:used]:
            raise DownloadError(
                f"{name}: columns {', '.join(found)}; expected {', '.join(columns)}; the format has"
                " changed"
            )
        rows = rows.iloc[1:].reset_index(drop=True)
    return rows


def numbers(
    rows: pd.DataFrame, column: str, name: str
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A text column as float64 (n,); empty texts are NaN. Raises `DownloadError` for any other
    text.
    """
    values = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = (
        np.isnan(values)
        & (rows[column].str.strip() != "").to_numpy()
        & (rows[column].str.lower() != "nan").to_numpy()
    )
    if bad.any():
        row = int(bad.argmax())
        raise DownloadError(
            f"{name}: column {column}, row {row}: {rows[column].iloc[row]!r}; expected a number;"
            " the format has changed"
        )
    return values


def epochs(
    rows: pd.DataFrame, column: str, name: str
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """A text column of whole numbers as int64 (n,). Raises `DownloadError` for any other text."""
    try:
        return rows[column].str.strip().to_numpy(dtype=object).astype(np.int64)
    except (ValueError, OverflowError) as error:
        raise DownloadError(
            f"{name}: column {column}: {error}; expected whole numbers; the format has changed"
        ) from None


def _bomb(path: Path, largest: int) -> DownloadError:
    return DownloadError(
        f"{path.name}: unpacks to more than {largest / 2**20:g} MiB; refused as a decompression"
        " bomb"
    )
