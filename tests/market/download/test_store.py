"""The data folder survives whatever happens to the processes that work on it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import pytest

from fundenv.market import DataError, load_market
from fundenv.market.download import DownloadError, Mirrors, Sources, Store, Updater
from fundenv.market.download.store import MANIFEST, write_whole
from tests.market.download.conftest import QUICK, Desk
from tests.market.download.tables import NOON, expected, same, series, stored

PERP = series("perp")


def test_a_corrupted_file_is_noticed_and_fetched_again_alone(desk: Desk) -> None:
    desk.update(PERP, "2024-01")
    path = desk.store.file(PERP, "2024-01")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    desk.server.log.clear()
    outcome = desk.update(PERP, "2024-01")
    assert outcome.written == ["2024-01"]
    assert len(outcome.notes) == 1
    assert "2024-01.parquet: checksum" in outcome.notes[0]
    assert "; fetched again" in outcome.notes[0]
    assert {line for line in desk.server.asked("^/data/") if "2024-01.zip" not in line} == set()
    assert same(stored(desk, PERP), expected("perp", "BTCUSDT", "2024-01-01", NOON))


def test_a_file_that_was_removed_is_fetched_again(desk: Desk) -> None:
    desk.update(PERP, "2024-02")
    desk.store.file(PERP, "2024-02").unlink()
    assert "is missing; fetched again" in desk.update(PERP, "2024-02").notes[0]
    assert same(stored(desk, PERP), expected("perp", "BTCUSDT", "2024-02-01", NOON))


def test_a_damaged_manifest_is_named_with_the_remedy(desk: Desk) -> None:
    desk.update(PERP, "2024-03")
    manifest = desk.store.folder(PERP) / MANIFEST
    manifest.write_text(manifest.read_text()[:-40])
    with pytest.raises(
        DownloadError,
        match=r"manifest.toml is damaged .*; delete it: its months are then fetched again",
    ):
        desk.update(PERP, "2024-03")
    manifest.unlink()
    desk.update(PERP, "2024-03")
    assert same(stored(desk, PERP), expected("perp", "BTCUSDT", "2024-03-01", NOON))


def test_an_interrupted_run_keeps_what_was_finished_and_the_next_one_repeats_none_of_it(
    desk: Desk,
) -> None:
    finished: list[str] = []
    desk.update(PERP, "2023-10", jobs=1, stop=lambda: len(finished) >= 2, done=finished.append)
    before = set(desk.server.asked(r"monthly.*\.zip$"))
    assert 0 < len(before) < 5
    desk.server.log.clear()
    desk.update(PERP, "2023-10")
    assert before & set(desk.server.asked(r"monthly.*\.zip$")) == set()
    assert same(stored(desk, PERP), expected("perp", "BTCUSDT", "2023-10-01", NOON))


def _dies_while_writing(path: Path) -> None:
    def half(partial: Path) -> None:
        partial.write_bytes(b"half of it")
        os.kill(os.getpid(), signal.SIGKILL)

    write_whole(path, half)


def test_a_process_killed_while_it_writes_leaves_the_old_file(desk: Desk) -> None:
    desk.update(PERP, "2024-03")
    path = desk.store.file(PERP, "2024-03")
    before = path.read_bytes()
    child = multiprocessing.get_context("spawn").Process(target=_dies_while_writing, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    left = [p.name for p in path.parent.iterdir() if p.name.endswith(".partial")]
    assert len(left) == 1
    assert path.read_bytes() == before
    # a reader is not misled
    assert len(stored(desk, PERP)) == len(expected("perp", "BTCUSDT", "2024-03-01", NOON))
    desk.update(PERP, "2024-03")
    assert not [p.name for p in path.parent.iterdir() if p.name.endswith(".partial")]


def test_death_between_the_file_and_its_manifest_costs_one_month(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.update(PERP, "2024-02")
    manifest = desk.store.folder(PERP) / MANIFEST
    old = manifest.read_text()
    desk.server.now_ms += 3_600_000
    desk.update(PERP, "2024-02")
    manifest.write_text(old)  # as if the process had died before it wrote the manifest
    outcome = desk.update(PERP, "2024-02")
    assert outcome.written == ["2024-03"]
    assert same(stored(desk, PERP), expected("perp", "BTCUSDT", "2024-02-01", NOON + 3_600_000))


def _download(url: str, root: Path, start: str) -> None:
    mirrors = Mirrors(binance=url, binance_listing=url + "/listing", rest=url)
    sources = Sources(root, QUICK, mirrors)
    Updater(Store(root), sources.all(), lambda: sources.clock_ms("binance")[0], jobs=1).update(
        PERP, start
    )


def started(desk: Desk, start: str) -> BaseProcess:
    child = multiprocessing.get_context("spawn").Process(
        target=_download, args=(desk.server.url, desk.store.root, start)
    )
    child.start()
    return child


def wait_for_months(desk: Desk, count: int) -> None:
    until = time.monotonic() + 60
    while len(list(desk.store.root.rglob("20*.parquet"))) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_download_killed_anywhere_goes_on_where_it_was(desk: Desk) -> None:
    desk.server.fault(r"2023-10\.zip$", "drip", seconds=0.001)
    child = started(desk, "2023-08")
    wait_for_months(desk, 3)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    done = {path.stem for path in desk.store.root.rglob("20*.parquet")}
    desk.server.log.clear()
    assert desk.update(PERP, "2023-08").failures == []
    again = [
        line for line in desk.server.asked(r"monthly.*zip$") if any(month in line for month in done)
    ]
    assert len(again) <= 1  # the month whose file was in place and whose manifest was not
    assert same(stored(desk, PERP), expected("perp", "BTCUSDT", "2023-08-01", NOON))


def test_two_processes_at_once_share_the_work_and_the_folder(desk: Desk) -> None:
    desk.server.fault(r"2023-12\.zip$", "slow", seconds=1.0)
    both = [started(desk, "2023-11") for _ in range(2)]
    for child in both:
        child.join()
    assert [child.exitcode for child in both] == [0, 0]
    asked = desk.server.asked(r"\.zip$")
    assert len(asked) == len(set(asked))  # nothing was fetched twice
    assert same(stored(desk, PERP), expected("perp", "BTCUSDT", "2023-11-01", NOON))


def test_whoever_waits_for_the_lock_is_told(desk: Desk) -> None:
    told: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with Store(desk.store.root).lock(PERP):
            inside.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait()
    desk.update(PERP, "2024-03", waiting=lambda folder: (told.append(folder), leave.set()))
    holder.join()
    assert told == ["binance/BTCUSDT/perp_1h"]


def test_a_table_in_both_layouts_is_refused(desk: Desk) -> None:
    for kind in ("funding", "perp", "spot"):
        desk.update(series(kind), "2024-02")
    pd.read_parquet(desk.store.file(PERP, "2024-02")).to_parquet(
        desk.store.root / "binance_BTCUSDT_perp_1h.parquet"
    )
    with pytest.raises(
        DataError,
        match=(
            r"binance_BTCUSDT_perp_1h.parquet and binance/BTCUSDT/perp_1h are one table twice;"
            r" remove one"
        ),
    ):
        load_market(desk.store.root)


def test_a_part_with_other_columns_is_named(desk: Desk) -> None:
    for kind in ("funding", "perp", "spot"):
        desk.update(series(kind), "2024-01")
    path = desk.store.file(PERP, "2024-02")
    pd.read_parquet(path).drop(columns="volume").to_parquet(path)
    with pytest.raises(
        DataError,
        match=(
            r"binance/BTCUSDT/perp_1h/2024-02.parquet: columns time, open, high, low, close;"
            r" expected time, open"
        ),
    ):
        load_market(desk.store.root)
