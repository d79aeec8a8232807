"""The page: sections of HTML around the charts, with everything that it needs inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from experiments.analysis.pictures import palette
from experiments.analysis.printers import sections, split_tables
from experiments.analysis.tables import LEGEND, signed
from experiments.analysis.verdict import subject
from experiments.benchmarking import stress
from experiments.html_report import account_charts, charts
from experiments.html_report.draw import as_data
from experiments.html_report.html import cells, chart, choose, note, table, text
from experiments.html_report.inside import inside, trade_lists
from experiments.html_report.read_runs import Run


def page(runs: Sequence[Run]) -> str:
    """The whole report as one HTML text."""
    rollouts = [item for run in runs for item in run.rollouts]
    looks = palette([label for run in runs for label in run.labels])
    symbols = list(dict.fromkeys(item.symbol for item in rollouts))
    first = subject(runs[0].comparison).agent + runs[0].suffix
    agents = [first, *(label for label in looks if label != first)]
    shocks = _curves(runs)
    rates = sorted({f"{100 * run.cash_rate:g} %" for run in runs})
    parts = [
        ("Verdict", "".join(map(_verdict, runs))),
        ("Results", "".join(map(_results, runs)) + (_compared(runs) if len(runs) > 1 else "")),
        ("Shocks", "".join(_shocks(run, many=len(runs) > 1) for run in runs)),
        (
            "Growth",
            choose("symbol", [charts.ALL, *symbols])
            + f"<h3>Growth above the cash rate {text(', '.join(rates))}</h3>"
            + chart("growth")
            + "<h3>Equity</h3>"
            + chart("money")
            + "<h3>Drawdown</h3>"
            + chart("falls"),
        ),
        ("Attribution", _attribution(runs) + chart("attribution")),
        ("Inside an agent", inside(rollouts, agents, symbols)),
        ("Data and settings", "".join(map(_provenance, runs))),
    ]
    if shocks is not None:
        parts[2] = (parts[2][0], parts[2][1] + choose("shock", _names(shocks)) + chart("stress"))
    parts = [(name, content) for name, content in parts if content]
    standings = [
        replace(each, agent=each.agent + run.suffix)
        for run in runs
        for each in run.comparison.standings
    ]
    figures = {
        "growth": charts.growth(rollouts, looks),
        "money": charts.money(rollouts, looks),
        "falls": charts.falls(rollouts, looks),
        "attribution": charts.attribution(standings),
        "parts": account_charts.parts(rollouts),
        "position": account_charts.position(rollouts),
        "funding": account_charts.funding(rollouts),
    }
    if shocks is not None:
        figures["stress"] = charts.stress(shocks, looks)
    data = {
        "figures": {name: as_data(figure) for name, figure in figures.items()},
        "trades": trade_lists(rollouts),
    }
    return _fill(
        title=f"fundenv report: {text(', '.join(run.name for run in runs))}",
        nav="".join(f'<a href="#s{i}">{name}</a>' for i, (name, _) in enumerate(parts)),
        body="".join(
            f'<section id="s{i}"><h2>{name}</h2>{content}</section>'
            for i, (name, content) in enumerate(parts)
        ),
        data=_script_safe(json.dumps(data, allow_nan=False)),
        plotly=get_plotlyjs(),
    )


def _fill(**values: str) -> str:
    """The template with `{{name}}` replaced, each once, so that nothing inside a value is
    replaced.
    """
    template = resources.files("experiments.html_report").joinpath("page.html")
    pieces = template.read_text(encoding="utf-8").split("{{")
    return pieces[0] + "".join(
        values[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:])
    )


def _script_safe(words: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return words.replace("<", "\\u003c")


def _verdict(run: Run) -> str:
    found = run.comparison
    warnings = "".join(f"<li>{text(line)}</li>" for line in found.cautions)
    beware = f'<div class="beware"><h3>Beware</h3><ul>{warnings}</ul></div>' if warnings else ""
    said = text(" ".join(found.verdict))
    return f'<h3>{text(run.name)}</h3><p class="verdict">{said}</p>{beware}'


def _results(run: Run) -> str:
    """The tables of the comparison, and the figures of every split folded away."""
    shown = "".join(
        f"<h3>{text(heading + run.suffix)}</h3>{cells(made)}{note(legend)}"
        for heading, made, legend in sections(run.comparison)
    )
    more = "".join(
        f"<h3>{text(heading + run.suffix)}</h3>{cells(made)}"
        for heading, made in split_tables(run.rows, run.cash_rate)
    )
    return (
        f"{shown}<details><summary>Figures by split and symbol, at the cash rate"
        f" {100 * run.cash_rate:g} %</summary>{more}{note(LEGEND)}</details>"
    )


def _compared(runs: Sequence[Run]) -> str:
    """Runs side by side by agent, and whether they are comparable."""
    names = [run.name for run in runs]
    by_agent: dict[str, dict[str, float]] = {}
    for run in runs:
        for each in run.comparison.standings:
            by_agent.setdefault(each.agent, {})[run.name] = each.growth
    lines = [
        [text(agent), *(signed(values[name]) if name in values else "" for name in names)]
        for agent, values in by_agent.items()
    ]
    markets = {run.provenance["markets"].get(run.comparison.span, {}).get("hash") for run in runs}
    cash = {run.comparison.cash() for run in runs}
    differ = [
        word
        for word, several in (("markets", len(markets) > 1), ("cash rates", len(cash) > 1))
        if several
    ]
    warning = (
        f'<p class="beware">These runs were judged on different {" and ".join(differ)}; their'
        " figures do not compare.</p>"
        if differ
        else ""
    )
    heading = f"Runs compared: growth above {' | '.join(sorted(cash))}, % a year"
    return f"<h3>{text(heading)}</h3>{warning}" + table(["agent", *map(text, names)], lines)


def _attribution(runs: Sequence[Run]) -> str:
    cash = " | ".join(sorted({run.comparison.cash() for run in runs}))
    return (
        "<p>What a year's log growth is made of, mean over symbols and seeds, at"
        f" {text(cash)}. Costs: fees, spread, impact, interest on borrowed money, losses of"
        " liquidations.</p>"
    )


def _shocks(run: Run, *, many: bool) -> str:
    """What named shocks do; empty for a run that was not put under stress."""
    if run.stress is None:
        return ""
    heading = f"<h3>{text(run.name)}</h3>" if many else ""
    return heading + cells(stress.table(run.stress)) + note(stress.LEGEND.replace("`", ""))


def _curves(runs: Sequence[Run]) -> pd.DataFrame | None:
    frames = [stress.curves(run.stress) for run in runs if run.stress is not None]
    return pd.concat(frames, ignore_index=True) if frames else None


def _names(curves: pd.DataFrame) -> list[str]:
    return [str(name) for name in curves["shock"].unique()]


def _provenance(run: Run) -> str:
    record: dict[str, Any] = run.provenance
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    lines = [
        ["command", f"<code>{text(record['command'])}</code>"],
        ["started", text(record["started"])],
        ["Python and machine", f"{text(record['python'])}, {text(record['machine'])}"],
        ["versions", text(versions)],
    ]
    for name, market in record["markets"].items():
        about = f"hash <code>{text(market['hash'])}</code>, venue {text(market['venue'])}"
        lines.append([f"market {text(name)}", about])
        lines += [
            [f"&emsp;{text(symbol)}", f"{text(first)} .. {text(last)} UTC"]
            for symbol, first, last in market["paths"]
        ]
        lines += [["&emsp;note", text(note)] for note in market["notes"]]
    settings = [
        [text(key), f"<code>{text(json.dumps(value))}</code>"] for key, value in run.config.items()
    ]
    return (
        f"<h3>{text(run.name)}</h3>{table(['what', 'value'], lines, kind='words')}"
        "<details><summary>Settings of the command</summary>"
        f"{table(['setting', 'value'], settings, kind='words')}</details>"
    )
