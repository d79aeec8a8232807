"""The speed measurement checks before it times, and says what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.core.run_folder import RunError
from experiments.speed import steps_per_second, throughput, verification
from fundenv.market import synthetic_market
from tests.oracle import linear as reference_account


def test_a_run_leaves_rows_that_others_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps_per_second, "MIN_SECONDS", 0.0)
    file = tmp_path / "rows.json"
    throughput.main(
        throughput.Args(
            modes=("single", "vector", "torch"),
            batches=(8,),
            intervals=("8h",),
            repeats=2,
            peers=True,
            json=file,
        )
    )
    rows = json.loads(file.read_text())
    assert [(row["mode"], row["batch"]) for row in rows[:4]] == [
        ("single", 1),
        ("vector", 8),
        ("torch", 8),
        ("gymnasium CartPole-v1", 8),
    ]
    for row in rows[:3]:
        assert {
            "mode",
            "device",
            "batch",
            "decision_bars",
            "obs_size",
            "steps_per_s",
            "bars_per_s",
        } <= set(row)
        assert row["bars_per_s"] == pytest.approx(8 * row["steps_per_s"])
    assert rows[1]["obs_size"] == 44
    # state, two observations and the final one, ledger, trades, flags, statistics, action; both
    # read and written: see `stepping`
    assert 800 < rows[1]["bytes_per_env"] < 1200
    assert "the reference account agrees" in capsys.readouterr().out


def test_two_threads_are_set_against_what_they_bring_to_other_loops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps_per_second, "MIN_SECONDS", 0.0)
    file = tmp_path / "rows.json"
    throughput.main(
        throughput.Args(
            modes=("vector",), batches=(8,), intervals=("8h",), repeats=2, threads=2, json=file
        )
    )
    timed, *gains = json.loads(file.read_text())
    assert timed["threads"] == 2
    assert [(row["mode"], row["batch"]) for row in gains] == [
        ("arithmetic, waiting", 1),
        ("arithmetic, dense", 1),
        ("arithmetic, vectors", 1),
        ("memory", 1),
        ("vector", 8),
    ]
    assert all(0 < row["lowest"] <= row["times_one_thread"] <= row["highest"] for row in gains)
    assert "times one thread" in capsys.readouterr().out


def test_a_wrong_account_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    market = synthetic_market("btc", years=1, seed=0)
    assert (
        verification.reference_error(market, "8h", walks=1, steps=5)
        < verification.REFERENCE_TOLERANCE
    )
    monkeypatch.setattr(reference_account.ReferenceAccount, "_accrue", lambda self: None)
    with pytest.raises(RunError, match="the reference account has"):
        verification.reference_error(market, "8h", walks=1, steps=5)


def test_the_cpu_agrees_with_itself_and_a_difference_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market = synthetic_market("btc", years=1, seed=0)
    assert verification.device_error(market, "8h", "cpu", count=16, steps=20) == 0.0
    monkeypatch.setattr(verification, "DEVICE_TOLERANCE", -1.0)
    with pytest.raises(RunError, match="parts differ by"):
        verification.device_error(market, "8h", "cpu", count=16, steps=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"modes": ("flat",)}, "--modes flat"),
        ({"device": "cuda", "modes": ("sb3",)}, "only the mode torch"),
    ],
)
def test_bad_input_is_one_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(RunError, match=said):
        throughput.main(throughput.Args(**given))  # type: ignore[arg-type]
