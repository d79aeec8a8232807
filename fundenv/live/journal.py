"""The journal: everything that a paper account was told and decided, in order, in files that are
only ever appended to.

One JSON object a line, with a checksum of the line; files of a bounded size, `000001.jsonl` and so
on. A call of `append` is on the disk when it returns. A process that is killed leaves at most a
line cut short at the very end, which the next one removes. Records: `fundenv.live.records`.
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
    """The files of one account; one process at a time.

    folder: where they lie. largest: bytes after which a new file is begun.
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
        """Every record in order. Removes a line that was cut short at the end of the last file.

        Raises `LiveError` for a line that is damaged anywhere else.
        """
        yield from read_journal(self.folder, repair=True)

    def append(self, *records: Record) -> None:
        """Write records behind the others; they are on the disk when this returns."""
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
        """Let another process have the journal."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()

    def _open(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._path = path
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)  # the name of a new file
        os.close(folder)


def read_journal(folder: Path, *, repair: bool = False) -> Iterator[Record]:
    """Every record of a journal, whether or not a process writes it.

    repair: remove what was cut short at the end; else it is passed over.
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
    """The record of a line; None where the line is not whole."""
    if not line.endswith(b'"}\n') or len(line) < _TAIL + 1:
        return None
    body, end = line[: -_TAIL - 1], line[-_TAIL - 1 :].decode(errors="replace")
    if end != f'{_SUM}{zlib.crc32(body):08x}"}}\n':
        return None
    record: Record = json.loads(body + b"}")
    return record
