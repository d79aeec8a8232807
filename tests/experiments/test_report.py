"""The HTML report: its figures against the definitions, its warnings, and that one file is all it
needs.
"""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import report
from experiments.core.run_folder import RunError
from experiments.html_report import figures, sentences
from experiments.html_report.page import _worst, page
from experiments.html_report.read_runs import Run, Track, read_runs
from fundenv import metrics
from fundenv.dynamics.types import PARTS


@pytest.fixture(scope="module")
def run(small_run: Path) -> Run:
    return read_runs([small_run])[0]


def track(
    log_steps: Any,
    label: str = "carry",
    seed: int = 0,
    symbol: str = "X",
    start: str = "2024-01-01",
) -> Track:
    """A curve of one funding payment a day: the log return of each day."""
    equity = 100.0 * np.exp(np.cumsum(log_steps))
    steps = pd.DataFrame(
        {
            "time": pd.date_range(start, periods=len(equity), freq="D", tz="UTC")
            + pd.Timedelta("1D"),
            "equity": equity,
        }
    )
    steps = steps.assign(**dict.fromkeys(PARTS, 0.0), liquidations=0.0, margin_distance=5.0)
    steps["funding"] = np.diff(np.append(100.0, equity))
    return Track(
        label=label,
        seed=seed,
        symbol=symbol,
        steps=steps,
        trades=pd.DataFrame({"symbol": []}),
        cash_rate=0.0,
    )


def test_growth_of_the_intervals_is_that_of_the_results(run: Run) -> None:
    found = figures.intervals(list(run.tracks))
    rows = run.rows[run.rows["split"] == "test"].groupby("label")["net_log_growth"].mean()
    assert [item.label for item in found] == sorted(rows.index)  # files are read in order of name
    for item in found:
        assert item.growth == pytest.approx(rows[item.label], abs=1e-9)
        assert item.low <= item.growth + 1e-12
        assert item.growth - 1e-12 <= item.high
        assert item.seeds == (2 if item.label == "ppo" else 1)


def test_the_interval_covers_the_sampling_error_of_independent_days() -> None:
    rng = np.random.default_rng(1)
    daily = rng.normal(0.0, 0.01, 1000)
    low_item, high_item = figures.intervals([track(daily), track(daily + 0.005, label="zscore")])
    width = 2 * 1.96 * 0.01 * 365 / np.sqrt(1000)  # of a yearly mean of independent days
    assert low_item.high - low_item.low == pytest.approx(width, rel=0.2)
    # days are drawn for all agents alike, so a constant difference is certain however wide the
    # intervals are
    assert high_item.better == {"carry": 1.0}
    assert low_item.better == {"zscore": 0.0}
    np.testing.assert_allclose(high_item.draws - low_item.draws, 0.005 * 365, rtol=1e-9)


def test_seeds_that_differ_widen_the_interval() -> None:
    daily = np.random.default_rng(2).normal(0.0, 0.001, 500)
    one = figures.intervals([track(daily)])[0]
    four = figures.intervals(
        [track(daily + shift, seed=k) for k, shift in enumerate((-2e-3, -1e-3, 1e-3, 2e-3))]
    )[0]
    assert four.growth == pytest.approx(one.growth)
    assert four.high - four.low > 3 * (one.high - one.low)


def test_months_add_up_and_a_step_counts_for_the_month_in_which_it_began(run: Run) -> None:
    for item in run.tracks:
        assert np.nansum(figures.months(item).to_numpy()) == pytest.approx(
            100 * float(item.net_log().iloc[-1]), abs=1e-9
        )
    table = figures.months(track(np.full(60, 0.01)))  # 31 days of January, 29 of February 2024
    assert table.loc[2024, 1] == pytest.approx(31.0)
    assert table.loc[2024, 2] == pytest.approx(29.0)


def test_worst_episodes_are_peak_to_recovery_with_the_parts_that_made_them() -> None:
    item = track(np.log([1.1, 0.9, 1 / 0.9, 1.0, 0.5, 0.8, 1.1]))
    deep, shallow = figures.worst(item)
    assert deep["depth"] == pytest.approx(60.0)
    assert (str(deep["peak"].date()), str(deep["trough"].date()), deep["recovered"]) == (
        "2024-01-05",
        "2024-01-07",
        None,
    )
    assert deep["parts"]["funding"] == pytest.approx(-60.0)  # % of the equity at the peak
    assert shallow["depth"] == pytest.approx(10.0)
    assert str(shallow["recovered"].date()) == "2024-01-04"
    assert figures.worst(track(np.full(5, 0.01))) == []


def test_a_fall_is_blamed_on_both_legs_together() -> None:
    item = track(np.log([1.1, 0.9, 1.1]))
    fall = item.steps["funding"].to_numpy().copy()
    fall[[0, 2]] = 0.0
    item.steps["spot_pnl"], item.steps["perp_pnl"], item.steps["fees"] = (
        -50.0 * fall,
        50.4 * fall,
        0.6 * fall,
    )
    item.steps.loc[1, "funding"] = 0.0
    said = _worst(item)
    # of the equity at the peak; the perpetual alone lost 504 %
    assert "costs -6.00 %, price -4.00 %" in said


def test_worst_episode_is_the_maximum_drawdown(run: Run) -> None:
    for item in run.tracks:
        found = figures.worst(item)
        assert (found[0]["depth"] if found else 0.0) == pytest.approx(
            100 * float(metrics.drawdown(item.equity).max())
        )


def test_median_seed_is_the_one_in_the_middle() -> None:
    tracks = [track(np.full(10, growth), seed=k) for k, growth in enumerate((0.03, 0.01, 0.02))]
    assert figures.median_seed(tracks, "carry") == 2


def test_warnings_name_few_seeds_short_spans_and_unsourced_numbers(run: Run) -> None:
    said = "\n".join(sentences.cautions(run))
    assert "ppo: 2 seed(s)" in said
    assert "carry:" not in said
    assert "The test span has 0.49 years" in said
    assert "SYNTH-BTC-0, SYNTH-BTC-1: a made-up market" in said
    assert "borrow.base_annual" in said
    assert "overlap" not in said


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (("2020-01-01", "2020-12-31"), ("2020-12-01", "2021-06-01"), "overlap"),
        (("2020-01-01", "2020-12-31"), ("2021-01-05", "2021-06-01"), "only 5.0 days apart"),
        (("2021-01-01", "2021-12-31"), ("2020-01-01", "2020-06-01"), "before the training span"),
    ],
)
def test_spans_that_touch_are_reported(
    train: tuple[str, str], test: tuple[str, str], said: str
) -> None:
    markets = {
        "train": {"paths": [["A", *train]]},
        "test": {"paths": [["A", *test], ["B", *train]]},
    }
    assert said in "\n".join(sentences._overlaps(markets))


def test_spans_with_an_embargo_are_fine() -> None:
    markets = {
        "train": {"paths": [["A", "2020-01-01", "2020-12-31"]]},
        "test": {"paths": [["A", "2021-01-15", "2021-06-01"]]},
    }
    assert sentences._overlaps(markets) == []


def test_the_verdict_claims_only_what_the_interval_carries(run: Run) -> None:
    daily = np.random.default_rng(3).normal(0.0, 0.001, 500)
    for shift, word in ((0.002, "ppo beats"), (-0.002, "loses to"), (0.0, "cannot be told from")):
        noise = np.random.default_rng(4).normal(0.0, 0.001, 500)
        found = figures.intervals(
            [track(daily), track(noise - noise.mean() + daily.mean() + shift, label="ppo")]
        )
        assert word.removeprefix("ppo ") in sentences.verdict(found, run)
    assert "0.00 .. 0.00" in sentences.verdict(
        figures.intervals([track(np.zeros(50), label="flat")]), run
    )


def test_who_knows_the_future_is_neither_the_best_agent_nor_the_best_rule(run: Run) -> None:
    daily = np.random.default_rng(3).normal(0.0, 0.001, 500)
    shifts = {"carry": 0.0, "flat": -0.001, "ppo": 0.001, "clairvoyant": 0.003}
    found = figures.intervals(
        [track(daily + shift, label=label) for label, shift in shifts.items()]
    )
    rule = figures.best_rule(found)
    assert rule is not None
    assert rule.label == "carry"
    assert sentences.subject(found) == "ppo"
    assert sentences.subject([item for item in found if item.label != "ppo"]) == "carry"
    said = sentences.verdict(found, run)
    assert "ppo grew most" in said
    assert "the best rule, carry" in said
    assert "clairvoyant" not in said
    alone = [item for item in found if item.label == "clairvoyant"]
    assert figures.best_rule(alone) is None
    assert "clairvoyant grew most" in sentences.verdict(alone, run)


def test_a_report_of_nothing_says_what_to_name() -> None:
    with pytest.raises(RunError, match="no run is named"):
        report.main(report.Args(runs=()))


class Parser(HTMLParser):
    """Collects what a page would load, and whether its elements close."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [
            value or ""
            for name, value in attrs
            if name in ("src", "srcset") or (name == "href" and not (value or "").startswith("#"))
        ]
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_one_file_with_all_numbers(small_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    report.main(report.Args(runs=(small_run,), out=out))
    text = out.read_text(encoding="utf-8")
    parser = Parser()
    parser.feed(text)
    assert all(load.startswith("data:image/png;base64,") for load in parser.loads)
    assert parser.open == []
    assert "default-src 'none'" in text  # the browser is told to load nothing either
    data = json.loads(
        re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[0]
    )
    assert set(data["figures"]) == {
        "growth",
        "falls",
        "attribution",
        "parts",
        "position",
        "funding",
    }
    book = data["trades"]["zscore\nSYNTH-BTC-0"]
    kept = pd.read_parquet(small_run / "trades" / "test" / "zscore-0.parquet")
    assert book["all"] == len(book["rows"]) == (kept["symbol"] == "SYNTH-BTC-0").sum()
    assert {row[book["reason"]] for row in book["rows"]} >= {"enter carry", "exit"}
    totals = next(
        trace for trace in data["figures"]["attribution"]["data"] if trace["name"] == "total"
    )
    rows = pd.DataFrame(json.loads((small_run / "results.json").read_text())).query(
        "split == 'test'"
    )
    wanted = [
        100 * (rows[rows["agent"] == agent]["net_log_growth"].mean() + 0.045)
        for agent in totals["x"]
    ]
    assert totals["y"] == pytest.approx(wanted)


def test_runs_are_laid_side_by_side_and_names_are_escaped(small_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "a <b> & c"
    shutil.copytree(small_run, other)
    record = json.loads((other / "provenance.json").read_text())
    record["markets"]["test"]["hash"] = "</script><script>alert(1)"
    (other / "provenance.json").write_text(json.dumps(record))
    text = page(read_runs([small_run, other]))
    assert "ppo · small" in text
    assert "a &lt;b&gt; &amp; c" in text
    assert "judged on different markets" in text
    assert "alert(1)" not in text.replace("&lt;/script&gt;&lt;script&gt;alert(1)", "")


def test_what_is_not_a_finished_run_is_refused_in_one_line(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist; give the folder"):
        read_runs([tmp_path / "no"])
    with pytest.raises(RunError, match="not finished"):
        read_runs([tmp_path])
    with pytest.raises(RunError, match="given twice"):
        read_runs([small_run, small_run])
    with pytest.raises(RunError, match="no run folder"):
        read_runs([])
