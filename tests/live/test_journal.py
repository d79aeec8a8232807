"""The journal keeps whole records through any death, and refuses what is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from fundenv.live import Journal, LiveError, read_journal

RECORDS = [{"kind": "answer", "n": k, "rows": [[k, 0.1 + k, None]]} for k in range(40)]


def written(folder: Path, **how: int) -> Path:
    journal = Journal(folder, **how)
    for record in RECORDS:
        journal.append(record)
    journal.close()
    return folder


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert list(read_journal(written(tmp_path))) == RECORDS
    journal = Journal(tmp_path)
    assert list(journal.read()) == RECORDS
    journal.append({"more": 1.0 / 3.0})
    assert list(journal.read())[-1]["more"] == 1.0 / 3.0
    journal.close()


def test_files_are_bounded_and_read_in_order(tmp_path: Path) -> None:
    written(tmp_path, largest=500)
    assert len(list(tmp_path.glob("*.jsonl"))) > 4
    assert list(read_journal(tmp_path)) == RECORDS


def test_a_record_cut_short_anywhere_is_removed_and_the_others_stay(tmp_path: Path) -> None:
    whole = (written(tmp_path / "whole") / "000001.jsonl").read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for at in range(last, len(whole)):
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / "000001.jsonl").write_bytes(whole[:at])
        assert list(read_journal(folder)) == RECORDS[:-1]
        journal = Journal(folder)
        assert list(journal.read()) == RECORDS[:-1]
        journal.append(RECORDS[-1])  # and the next one begins a line of its own
        journal.close()
        assert list(read_journal(folder)) == RECORDS


@pytest.mark.parametrize("change", [b"0.1", b'"n":0', b'"kind"'])
def test_a_changed_digit_is_found(tmp_path: Path, change: bytes) -> None:
    path = written(tmp_path) / "000001.jsonl"
    path.write_bytes(path.read_bytes().replace(change, change[:-1] + b"7", 1))
    with pytest.raises(LiveError, match="line 1 is damaged; restore the file"):
        list(read_journal(tmp_path))


def test_one_process_writes(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(LiveError, match="another process writes this journal"):
        Journal(tmp_path)
    journal.close()
    Journal(tmp_path).close()
