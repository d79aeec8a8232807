"""The comparison of forecasters as a command: figures, resume, refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import forecast
from experiments.core import cli
from experiments.forecasting import printing, table
from experiments.forecasting.calibration import by_luck
from experiments.forecasting.walk_forward import folds
from fundenv.market import synthetic_frames, write_frames

Capture = pytest.CaptureFixture[str]


def called(*words: str) -> int:
    """Exit status of the command in this process."""
    before, sys.argv = sys.argv, ["forecast", *words]
    try:
        cli.run(forecast.Args, forecast.main, forecast.__doc__)
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of two coins over 1.2 years."""
    folder = tmp_path_factory.mktemp("data")
    for coin in ("btc", "eth"):
        write_frames(synthetic_frames(coin, years=1.2, seed=0), folder, venue="binance")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished comparison."""
    out = tmp_path_factory.mktemp("runs") / "one"
    words = ("--data", str(data), "--forecasters", "ewma", "har", "--refit-months", "2")
    assert called(*words, "--explain", "ridge", "--out", str(out)) == 0
    return out


def test_the_figures_are_those_of_the_forecasts(run: Path) -> None:
    result = json.loads((run / "results.json").read_text())
    rows = {(r["coin"], r["horizon"], r["forecaster"]): r for r in result["rows"]}
    coin = result["rows"][0]["coin"]
    files = [pd.read_parquet(path) for path in (run / "forecasts").glob("ewma-*.parquet")]
    one = pd.concat(files)
    one = one[(one["symbol"] == coin) & (one["horizon"] == 3) & one["target"].notna()]
    expected = np.sqrt(np.mean((one["mean"] - one["target"]) ** 2))
    own = rows[coin, 3, "ewma"]
    assert own["n"] == len(one)
    assert own["rmse"] == pytest.approx(expected)
    base = rows[coin, 3, "clipped_har"]
    assert own["skill_clipped_har"] == pytest.approx(100 * (1 - own["rmse"] / base["rmse"]))
    assert base["skill_clipped_har"] == 0.0
    assert base["skill_no_change"] > 0.0
    assert own["mae_skill_clipped_har"] == pytest.approx(100 * (1 - own["mae"] / base["mae"]))
    assert "## Skill over clipped HAR, mean absolute error, %, all coins" in (
        (run / "results.md").read_text()
    )
    # a forecast knows the rate at its origin: no change says exactly that
    none = pd.read_parquet(run / "forecasts" / "no_change-seed0-fold0.parquet")
    assert (none["mean"] == none["last"]).all()
    assert "| ewma |" in (run / "results.md").read_text()
    page = (run / "report.html").read_text()
    assert "Skill over clipped HAR, all coins" in page
    assert "What moved a forecast" in page
    assert "| exact intervals |" in (run / "results.md").read_text()


def test_the_parts_of_a_run_sum_to_its_forecasts(run: Path) -> None:
    (path,) = (run / "forecasts").glob("*-parts.parquet")
    parts = pd.read_parquet(path)
    assert {"base", "funding", "basis", "others"} <= set(parts["group"])
    keys = ["symbol", "time", "horizon"]
    total = parts.groupby(keys)["value"].sum()
    said = pd.read_parquet(path.with_name(path.name.replace("-parts", ""))).set_index(keys)["mean"]
    assert len(total) > 500
    pd.testing.assert_series_equal(total, said.loc[total.index], check_names=False, rtol=1e-9)


def test_the_figures_are_in_tensorboard(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = json.loads((run / "results.json").read_text())
    events = EventAccumulator(str(run / "tensorboard" / "ewma")).Reload()
    row = next(r for r in result["rows"] if r["forecaster"] == "ewma" and r["coin"] == "all coins")
    first = events.Scalars("Skill/over_clipped_har_percent/all_coins")[0]
    assert first.step == row["horizon"] == 1
    assert first.value == pytest.approx(row["skill_clipped_har"], rel=1e-5)
    comparison = EventAccumulator(str(run / "tensorboard" / "comparison")).Reload()
    assert set(comparison.Tags()["images"]) == {"Calibration", "Parts/ridge"}


def test_coverage_by_luck_is_that_of_independent_days() -> None:
    """Over one settlement the errors are independent: a binomial share of 546 with 90 %, of size
    1.28 points. Over 63 the half-year holds nine independent ones, so that it is much wider.
    """
    one = np.array(by_luck(546, 1))
    assert one.mean() == pytest.approx(90.0, abs=0.2)
    assert one.std() == pytest.approx(100 * np.sqrt(0.9 * 0.1 / 546), rel=0.1)
    assert 5.0 < np.std(by_luck(546, 63)) < 9.0


def test_seeds_have_an_interval() -> None:
    """Skills of 1, 2, 3: mean 2, size 1, Student 4.3027 with two degrees of freedom over
    sqrt(3): 2.484.
    """
    assert printing.interval([1.0, 2.0, 3.0]) == "+2.0 (-0.5 .. +4.5)"
    assert printing.interval([1.0, 2.0]) == "+1.5 (+1.0 .. +2.0)"


def test_a_finished_run_is_not_done_again(run: Path, data: Path, capsys: Capture) -> None:
    before = (run / "forecasts" / "har-seed0-fold0.parquet").stat().st_mtime_ns
    (run / "forecasts" / "har-seed0-fold1.json").unlink()
    words = ("--data", str(data), "--forecasters", "ewma", "har", "--refit-months", "2")
    assert called(*words, "--out", str(run), "--resume") == 0
    assert (run / "forecasts" / "har-seed0-fold0.parquet").stat().st_mtime_ns == before
    assert (run / "forecasts" / "har-seed0-fold1.json").is_file()
    assert called(*words, "--out", str(run), "--resume", "--window", "rolling") == 2
    assert "was made with --window expanding, now rolling" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--explain", "arima"), "forecaster arima does not say which inputs moved it"),
        (("--explain", "hra"), "unknown forecaster 'hra'"),
        (("--forecasters", "hra"), "unknown forecaster 'hra'"),
        (("--inputs", "moon", "--forecasters", "ridge"), "inputs 'moon' are unknown"),
        (("--inputs", "user", "--forecasters", "ridge"), "give the file with --extra FILE"),
        (("--extra", "none.csv"), "none.csv: no such file"),
        (("--extra", "moon=1"), "moon"),
        (("--inputs", "other_venue", "--forecasters", "ridge"), "with a column rate_VENUE"),
        (("--inputs", "open_interest", "--forecasters", "ridge"), "give --extra open_interest=1e9"),
        (("--refit-months", "0"), "--refit-months 0: give at least 1"),
        (("--delay-hours", "9"), "settles every 8 h; give 0 or more, and less than that"),
        (("--test", "2020-02:2020-05"), "fewer than 400 settlements before 2020-02-01"),
        (("--test", "2031:2032"), "--test begins after the last settlement"),
    ],
)
def test_bad_input_is_one_line(
    words: tuple[str, ...], said: str, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert called("--data", str(data), *words, "--out", str(tmp_path / "x")) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_open_interest_comes_from_the_files_of_the_folder(tmp_path: Path) -> None:
    frames = synthetic_frames("btc", years=0.8, seed=0)
    write_frames(frames, tmp_path, venue="binance")
    times = pd.date_range("2019-11-01", "2020-11-01", freq="1h", tz="UTC")
    interest = 5e4 * (2.0 + np.sin(np.arange(len(times)) / 40))
    pd.DataFrame({"time": times, "open_interest": interest}).to_parquet(
        tmp_path / f"binance_{frames.symbol}_oi.parquet"
    )
    words = ("--data", str(tmp_path), "--forecasters", "ridge", "--inputs", "open_interest")
    out = tmp_path / "out"
    assert called(*words, "--extra", "open_interest=1e9", "--out", str(out)) == 0
    record = json.loads((out / "forecasts" / "ridge-seed0-fold0.json").read_text())
    assert record["inputs"] == ["open_interest"]


def test_folds_cover_the_span_and_a_rest_joins_the_last() -> None:
    start, end = pd.Timestamp("2024-07-01", tz="UTC"), pd.Timestamp("2025-07-10", tz="UTC")
    found = folds(start, end, 6)
    assert [str(a)[:10] for a, _ in found] == ["2024-07-01", "2025-01-01"]
    assert found[-1][1] == end


def test_all_coins_are_tested_on_one_loss_a_settlement() -> None:
    """Two coins with the same errors say no more than one: the same statistic."""
    rng = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=200, freq="8h", tz="UTC")
    parts: list[Any] = []
    for name, size in (("no_change", 0.5), ("clipped_har", 0.4)):
        error = rng.normal(0, size, len(times))
        for symbol in ("A", "B"):
            part = pd.DataFrame({"symbol": symbol, "time": times, "horizon": 1, "last": 1.0})
            part = part.assign(target=0.0, mean=error, forecaster=name, seed=0, fold=0)
            parts.append(part.assign(**dict.fromkeys((*table.QUANTILES, *table.UNTRACKED), error)))
    rows = table.figures(pd.concat(parts), {("A", 1): 1.0, ("B", 1): 1.0}, confidence=False)
    found = {(r["coin"], r["forecaster"]): r for r in rows}
    assert found["A", "no_change"]["dm"] == pytest.approx(found["all coins", "no_change"]["dm"])
    assert found["A", "no_change"]["dm"] > 0  # worse than clipped HAR
    assert found["all coins", "no_change"]["n"] == 400
