"""The HTML report: its figures against the definitions, and that one file is all it needs."""

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
from experiments.analysis.printers import read_results
from experiments.core.run_folder import RunError
from experiments.html_report import figures
from experiments.html_report.inside import worst_table
from experiments.html_report.page import page
from experiments.html_report.read_runs import Run, read_runs
from experiments.rollout.rollout import STATES, Rollout
from fundenv import metrics
from fundenv.dynamics.types import PARTS

FUNDING = PARTS.index("funding")


@pytest.fixture(scope="module")
def run(small_run: Path) -> Run:
    return read_runs([small_run])[0]


def rollout(log_steps: Any, agent: str = "carry", seed: int = 0) -> Rollout:
    """One funding payment a day from 2024-01-01 on: the log return of each day."""
    equity = 100.0 * np.exp(np.cumsum(np.append(0.0, log_steps)))
    steps = len(equity) - 1
    ends = pd.date_range("2024-01-02", periods=steps, freq="D", tz="UTC").as_unit("ns")
    parts = np.zeros((steps, 9))
    parts[:, FUNDING] = np.diff(equity)
    states = np.zeros((steps, len(STATES)))
    states[:, STATES.index("margin_distance")] = 5.0
    return Rollout(
        agent=agent,
        seed=seed,
        symbol="X",
        step_hours=24.0,
        cash_rate=0.0,
        time=ends.asi8,
        equity=equity,
        reward=np.zeros(steps),
        parts=parts,
        turnover=np.zeros(steps),
        liquidations=np.zeros(steps),
        states=states,
        actions=np.zeros((steps, 1)),
        trades=pd.DataFrame(),
    )


def test_months_add_up_and_a_step_counts_for_the_month_in_which_it_began(run: Run) -> None:
    for item in run.rollouts:
        assert np.nansum(figures.months(item).to_numpy()) == pytest.approx(
            100 * float(item.net_log().iloc[-1]), abs=1e-9
        )
    table = figures.months(rollout(np.full(60, 0.01)))  # 31 days of January, 29 of February 2024
    assert table.loc[2024, 1] == pytest.approx(31.0)
    assert table.loc[2024, 2] == pytest.approx(29.0)


def test_worst_episodes_are_peak_to_recovery_with_the_parts_that_made_them() -> None:
    item = rollout(np.log([1.1, 0.9, 1 / 0.9, 1.0, 0.5, 0.8, 1.1]))
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
    assert figures.worst(rollout(np.full(5, 0.01))) == []


def test_a_fall_is_blamed_on_both_legs_together() -> None:
    item = rollout(np.log([1.1, 0.9, 1.1]))
    fall = item.parts[1, FUNDING]
    for name, share in (("spot_pnl", -50.0), ("perp_pnl", 50.4), ("fees", 0.6)):
        item.parts[1, PARTS.index(name)] = share * fall
    item.parts[1, FUNDING] = 0.0
    said = worst_table(item)
    # of the equity at the peak; the perpetual alone lost 504 %
    assert "costs -6.00 %, price -4.00 %" in said


def test_worst_episode_is_the_maximum_drawdown(run: Run) -> None:
    for item in run.rollouts:
        found = figures.worst(item)
        assert (found[0]["depth"] if found else 0.0) == pytest.approx(
            100 * float(metrics.drawdown(item.equity).max())
        )


def test_median_seed_is_the_one_in_the_middle() -> None:
    rollouts = [rollout(np.full(10, growth), seed=k) for k, growth in enumerate((0.03, 0.01, 0.02))]
    assert figures.median_seed(rollouts, "carry") == 2


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
    assert parser.loads == []
    assert parser.open == []
    assert "default-src 'none'" in text  # the browser is told to load nothing either
    data = json.loads(
        re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[0]
    )
    assert set(data["figures"]) == {
        "growth",
        "money",
        "falls",
        "attribution",
        "parts",
        "position",
        "funding",
        "stress",
    }
    book = data["trades"]["zscore\nSYNTH-BTC-0"]
    kept = pd.read_parquet(small_run / "trades" / "test" / "zscore-0.parquet")
    assert book["all"] == len(book["rows"]) == (kept["symbol"] == "SYNTH-BTC-0").sum()
    assert {row[book["reason"]] for row in book["rows"]} >= {"enter carry", "exit"}
    standings = read_results(small_run)[0].standings
    totals = next(
        trace for trace in data["figures"]["attribution"]["data"] if trace["name"] == "total"
    )
    wanted = [100 * (each.growth + (0.02 + 0.045) / 2) for each in standings]
    assert totals["x"] == [each.agent for each in standings]
    assert totals["y"] == pytest.approx(wanted)


def test_an_agent_has_one_colour_in_all_charts(run: Run) -> None:
    text = page([run])
    data = json.loads(
        re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[0]
    )
    looks: dict[str, set[tuple[str, str]]] = {}
    for name in ("growth", "money", "falls", "stress"):
        for trace in data["figures"][name]["data"]:
            if "dash" in trace["line"]:
                line = trace["line"]
                looks.setdefault(trace["name"], set()).add((line["color"], line["dash"]))
    assert set(looks) == {"flat", "carry", "zscore", "ppo"}
    assert all(len(look) == 1 for look in looks.values())
    assert len(set.union(*looks.values())) == 4


def test_the_trade_list_has_fee_notional_and_result(run: Run) -> None:
    text = page([run])
    found = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)[0]
    book = json.loads(found)["trades"]["zscore\nSYNTH-BTC-0"]
    at = {name: book["columns"].index(name) for name in ("notional", "fee", "result", "reason")}
    for row in book["rows"]:
        assert float(row[at["notional"]].replace(",", "")) > 0
        assert float(row[at["fee"]].replace(",", "")) > 0
        assert (row[at["result"]] is not None) == (row[at["reason"]] == "exit")


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
    with pytest.raises(RunError, match="holds no finished benchmark"):
        read_runs([tmp_path])
    with pytest.raises(RunError, match="given twice"):
        read_runs([small_run, small_run])
    with pytest.raises(RunError, match="no run folder"):
        read_runs([])


def test_rollouts_of_an_earlier_evaluation_are_left_out(small_run: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    shutil.copytree(small_run, other)
    for folder in ("rollouts", "trades"):
        kept = other / folder / "test" / "carry-0.parquet"
        old = pd.read_parquet(kept).assign(agent="ewma")
        old.to_parquet(kept.with_name("ewma-0.parquet"))
    found = read_runs([other])[0]
    assert {item.agent for item in found.rollouts} == {"flat", "carry", "zscore", "ppo"}
    assert "ewma" not in page([found])
