"""The study of funding and returns: numbers by hand, no look-ahead, and a leak that is a leak."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import study
from experiments.core import cli
from experiments.funding_returns import daily, forests, regressions, splits
from experiments.funding_returns.printing import verdict
from fundenv.forecast import History, Panel

DAY = 86_400_000_000_000
START = pd.Timestamp("2023-01-01", tz="UTC")
Capture = pytest.CaptureFixture[str]


def history(days: int, rate: np.ndarray, price: np.ndarray) -> History:
    """Rates every 8 h and hourly prices from midnight on."""
    hours = START.value + np.arange(1, 24 * days + 1) * (DAY // 24)
    ns = START.value + np.arange(1, 3 * days + 1) * (DAY // 3)
    return History("X", ns, rate, 0, hours, {"spot": price, "perp": price})


def walk(days: int = 500, seed: int = 0) -> History:
    draw = np.random.default_rng(seed)
    rate = pd.Series(draw.normal(size=3 * days)).ewm(span=20).mean().to_numpy()
    return history(days, rate, 100 * np.exp(np.cumsum(draw.normal(size=24 * days) / 100)))


def test_means_and_returns_by_hand() -> None:
    rate = np.r_[np.full(3 * 40, 1.0), np.full(3 * 20, 2.0)]
    price = 100.0 * 1.01 ** (np.arange(1, 24 * 60 + 1) / 24.0)  # 1 % a day
    table = daily.daily(Panel((history(60, rate, price),)))["X"]
    at = START + pd.Timedelta(days=42)
    # six of the nine rates in the three days up to it are 2 bp: 15 bp / 9 a settlement, 1,095 a
    # year
    assert table.loc[at, "fr3"] == pytest.approx((3 * 1 + 6 * 2) / 9 * 1e-2 * 1095)
    assert table.loc[at, "fr14"] == pytest.approx((36 * 1 + 6 * 2) / 42 * 1e-2 * 1095)
    assert table.loc[at, "divergence"] == pytest.approx(
        table.loc[at, "fr3"] - table.loc[at, "fr14"]
    )
    assert table.loc[at, "forward"] == pytest.approx(100 * (1.01**7 - 1))
    assert np.isnan(table.loc[START + pd.Timedelta(days=13), "fr14"])  # its window is not whole
    assert np.isfinite(table.loc[START + pd.Timedelta(days=15), "fr14"])
    assert table["forward"].iloc[-7:].isna().all()  # has not come


def test_what_is_known_at_a_day_does_not_change_with_later_data() -> None:
    whole = walk()
    cut = START.value + 300 * DAY
    k, t = (int(np.searchsorted(a, cut, side="right")) for a in (whole.ns, whole.close_ns))
    rate, spot = whole.rate.copy(), whole.columns["spot"].copy()
    rate[k:], spot[t:] = 9.0, 1.0
    other = replace(whole, rate=rate, columns={"spot": spot})
    known = ["price", "funding", "fr3", "fr14", "fr30", "divergence"]
    one, two = (daily.daily(Panel((each,)))["X"] for each in (whole, other))
    until = pd.Timestamp(cut, tz="UTC")
    pd.testing.assert_frame_equal(one.loc[:until, known], two.loc[:until, known])
    assert not one.loc[until:, known].equals(two.loc[until:, known])


@pytest.mark.parametrize("way", [splits.walk_forward, splits.blocks])
def test_a_purged_split_learns_from_no_return_that_reaches_into_the_judged_days(way) -> None:  # type: ignore[no-untyped-def]
    for learn, judge in way(500, 7):
        distance = np.abs(learn[:, None] - judge[None, :]).min()
        assert distance > 7
        if way is splits.walk_forward:
            assert learn.max() < judge.min()
    near = [np.abs(a[:, None] - b[None, :]).min() for a, b in splits.shuffled(500, 7)]
    assert max(near) == 1  # and the flattering one does


def test_errors_that_allow_for_the_overlap_are_those_of_newey_and_west() -> None:
    table = daily.complete(daily.daily(Panel((walk(),)))["X"])
    found = regressions.regress(table, ("fr3",))
    x, y = table["fr3"].to_numpy(), table["forward"].to_numpy()
    n, many = len(y), regressions.lags(len(y))
    design = np.column_stack([np.ones(n), x])
    slope = np.linalg.lstsq(design, y, rcond=None)[0]
    score = design * (y - design @ slope)[:, None]
    middle = score.T @ score
    for lag in range(1, many + 1):
        part = score[lag:].T @ score[:-lag]
        middle += (1 - lag / (many + 1)) * (part + part.T)
    bread = np.linalg.inv(design.T @ design)
    variance = (bread @ middle @ bread)[1, 1] * n / (n - 2)
    assert found["slopes"][0] == pytest.approx(slope[1])
    assert found["t"][0] == pytest.approx(slope[1] / np.sqrt(variance))
    assert many == 12
    assert abs(found["t"][0]) < abs(found["t_plain"][0])


def test_the_date_looks_predictive_on_shuffled_folds_alone() -> None:
    rows = forests.scores(daily.daily(Panel((walk(),)))["X"], trees=20)
    date = next(row for row in rows if row["inputs"] == "the date alone")
    assert date["shuffled"] > 0.6
    assert date["walk_forward"] < 0.0
    assert date["blocks"] < 0.1


def test_divergence_parts_the_days_at_the_limit() -> None:
    table = daily.complete(daily.daily(Panel((walk(),)))["X"])
    rows = {row["side"]: row for row in regressions.divergence(table, 2.0)}
    above = table[table["divergence"] > 2.0]
    assert rows["above"]["n"] == len(above)
    assert rows["above"]["mean"] == pytest.approx(above["forward"].mean())
    assert sum(row["n"] for row in rows.values()) == len(table)
    flat = {row["side"]: row for row in regressions.divergence(table, 1e6)}
    assert flat["above"]["n"] == 0  # no signal: no figure, no crash
    assert flat["above"]["t"] is None


def called(*words: str) -> int:
    before, sys.argv = sys.argv, ["study", *words]
    try:
        cli.run(study.Args, study.main, study.__doc__)
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


def test_the_command_writes_tables_and_a_page(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "one"
    assert called("--out", str(out), "--trees", "5") == 0
    result = json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)
    assert {row["model"] for row in result["regressions"]} == set(regressions.MODELS)
    assert len(verdict(result)) == 3
    assert "shuffled folds" in (out / "results.md").read_text()
    assert "How a signal is made to look predictive" in (out / "report.html").read_text()
    assert pd.read_parquet(out / "daily.parquet")["symbol"].nunique() == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--horizon", "0"), "--horizon 0: give 1 .. 90"),
        (("--limit", "nan"), "--limit nan: give 0 .. 1000"),
        (("--span", "2020-01:2020-03"), "the study needs 250"),
        (("--periods", "1999:2000"), "--periods 1999:2000: fewer than 60 days"),
        (("--symbols", "BTC"), "--symbols BTC needs --data"),
    ],
)
def test_a_slip_is_answered_in_one_line(
    words: tuple[str, ...], said: str, capsys: Capture, tmp_path: Path
) -> None:
    assert called(*words, "--out", str(tmp_path / "none")) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "none").exists()
