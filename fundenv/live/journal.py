"""The journal: everything that a paper account received and decided, in order, in files to which
lines are only appended.

One JSON object a line, with a checksum of the line; files of a bounded size, `000001.jsonl` and so
on. When `append` returns, its lines are on the disk. A process that is killed leaves at most one
incomplete line at the very end, which the next process removes. Records: `fundenv.live.records`.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fundenv.live.errors import LiveError
from fundenv.market.download.http import needed

Record = dict[str, Any]
_SUM = ',"crc":"'
_TAIL = len(_SUM) + 8 + len('"}')


class Journal:
    """The files of one account; one process at a time may write them.

    folder: the folder of the files. largest: bytes of a file after which the next one begins.
    """

    def __init__(self, folder: Path, *, largest: int = 16 * 2**20) -> None:
        filelock = needed("filelock")
        self.folder, self.largest = folder, largest
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = filelock.FileLock(folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise LiveError(
                f"{folder}: another process writes this journal; stop it, or choose another --out"
            ) from None
        self._file = -1
        self._path: Path | None = None

    def read(self) -> Iterator[Record]:
        """Every record in order. Removes an incomplete line at the end of the last file.

        Raises `LiveError` for a damaged line anywhere else.
        """
        yield from read_journal(self.folder, repair=True)

    def append(self, *records: Record) -> None:
        """Append records; they are on the disk when this returns."""
        if not records:
            return
        data = b"".join(map(_line, records))
        if self._file < 0:
            found = _files(self.folder)
            self._open(found[-1] if found else self.folder / "000001.jsonl")
        elif os.fstat(self._file).st_size >= self.largest and self._path:
            os.close(self._file)
            self._open(self.folder / f"{int(self._path.stem) + 1:06d}.jsonl")
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Release the journal, so that another process may write it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()

    def _open(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._path = path
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)  # so that the name of a new file is on the disk, too
        os.close(folder)


def read_journal(folder: Path, *, repair: bool = False) -> Iterator[Record]:
    """Every record of a journal, whether or not a process writes it.

    repair: remove an incomplete line at the end; otherwise skip it.
    """
    files = _files(folder)
    for path in files:
        at = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                record = _parsed(line)
                if record is None:
                    if path == files[-1] and at + len(line) == path.stat().st_size:
                        break
                    raise LiveError(
                        f"{path}: line {number} is damaged; restore the file from a copy, or begin"
                        " another account in another --out"
                    )
                at += len(line)
                yield record
        if repair and at < path.stat().st_size:
            with path.open("rb+") as file:
                file.truncate(at)
                os.fsync(file.fileno())


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.jsonl"))


def _line(record: Record) -> bytes:
    body = json.dumps(record, separators=(",", ":"), allow_nan=False)[:-1].encode()
    return body + f'{_SUM}{zlib.crc32(body):08x}"}}\n'.encode()


def _parsed(line: bytes) -> Record | None:
    """The record of a line; None where the line is incomplete or damaged."""
    if not line.endswith(b'"}\n') or len(line) < _TAIL + 1:
        return None
    body, end = line[: -_TAIL - 1], line[-_TAIL - 1 :].decode(errors="replace")
    if end != f'{_SUM}{zlib.crc32(body):08x}"}}\n':
        return None
    record: Record = json.loads(body + b"}")
    return record
