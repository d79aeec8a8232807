"""One run: every output prints the same comparison."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from experiments.analysis.comparison import Comparison
from experiments.analysis.printers import duels, read_results, sections, show_results, standings


@pytest.fixture(scope="module")
def results(small_run: Path) -> tuple[Comparison, list[dict[str, Any]]]:
    return read_results(small_run)


def plain(text: str) -> str:
    """Without the marks of Markdown, HTML and the screen."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", text))
    return " ".join(re.sub(r"[|─]", " ", text).split())


def outputs(small_run: Path, screen: str) -> dict[str, str]:
    events = EventAccumulator(str(small_run / "tensorboard"))
    events.Reload()
    card = events.Tensors("Cards/verdict")[-1].tensor_proto.string_val[0].decode()
    page = (small_run / "report.html").read_text()
    return {
        "results.md": plain((small_run / "results.md").read_text()),
        "report.html": plain(page[: page.index("<script>")]),
        "TensorBoard": plain(card),
        "screen": plain(screen),
    }


def test_every_output_prints_the_same_comparison(
    small_run: Path,
    results: tuple[Comparison, list[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    comparison, rows = results
    show_results(rows, comparison, cash_rate=0.045)
    found = outputs(small_run, capsys.readouterr().out)
    assert len(comparison.standings) == 4
    assert len(comparison.duels) == 3
    for where, text in found.items():
        for heading, table, _ in sections(comparison):
            assert heading in text, (where, heading)
            for line in table:
                assert " ".join(cell for cell in line if cell) in text, (where, line)
        for sentence in (*comparison.verdict, *comparison.cautions):
            assert sentence in text, (where, sentence)
        assert not re.search(r"-0\.0+(?!\d)", text), where
        assert "the mean of the cash rates 2 % and 4.5 %" in text, where


def test_the_comparison_agrees_with_the_tidy_rows(
    small_run: Path, results: tuple[Comparison, list[dict[str, Any]]]
) -> None:
    comparison, rows = results
    tidy = pd.read_parquet(small_run / "results.parquet")
    for each in comparison.standings:
        own = tidy[(tidy["agent"] == each.agent) & (tidy["cost"] == 1.0)]
        assert each.growth == pytest.approx(own["net_log_growth"].mean(), abs=1e-12)
        at = [r["net_log_growth"] for r in rows if (r["agent"], r["split"]) == (each.agent, "test")]
        assert each.by_cash_rate["0.045"] == pytest.approx(np.mean(at), abs=1e-12)
    header, *lines = standings(comparison)
    printed = {line[0]: line[header.index("growth")] for line in lines}
    for each in comparison.standings:
        assert float(printed[each.agent]) == pytest.approx(100 * each.growth, abs=0.005)
    assert any("2 seeds: no statement" in line for line in duels(comparison.duels))
    for each in comparison.duels:
        growth = comparison.standing(each.agent).growth - comparison.standing(each.other).growth
        assert each.difference == pytest.approx(growth, abs=0.01)
