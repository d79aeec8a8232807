"""The page: sections of HTML around the charts, with everything that it needs inside."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
from plotly.offline import get_plotlyjs

from experiments.benchmarking import stress
from experiments.benchmarking.comparison import terms
from experiments.html_report import charts
from experiments.html_report.figures import Interval, best_rule, intervals, months, worst
from experiments.html_report.read_runs import Run, Track
from experiments.html_report.sentences import cautions, signed, subject, verdict
from fundenv.envs.render import GROUPS

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TRADE_COLUMNS = {
    "time": "step ends, UTC",
    "reason": "reason",
    "rule": "the rule says",
    "shortfall": "shortfall",
    "filled_spot": "spot",
    "spot_price": "at",
    "filled_perp": "perp",
    "perp_price": "at",
    "leverage": "target leverage",
    "funding_last": "funding, bp/8 h",
    "funding_z": "its z",
    "basis": "basis, bp",
    "net_carry": "net carry / year",
    "equity": "equity after",
}
MOST_TRADES = 2000  # per agent and symbol on the page; the run folder holds all
COSTS = ["fees", "spread", "impact", "borrow_interest", "liquidation_loss"]


def page(runs: Sequence[Run]) -> str:
    """The whole report as one HTML text."""
    tracks = [track for run in runs for track in run.tracks]
    labels = [
        label
        for run in runs
        for label in run.labels
        if any(track.label == label for track in tracks)
    ]
    symbols = list(dict.fromkeys(track.symbol for track in tracks))
    rows = pd.concat([run.rows[run.rows["split"] == run.split] for run in runs], ignore_index=True)
    own = {run.name: intervals(list(run.tracks)) for run in runs}
    found = [item for run in runs for item in own[run.name]]
    chosen = [
        item.label
        for item in sorted(
            found, key=lambda item: (item.label != subject(own[runs[0].name]), -item.growth)
        )
    ]
    sections = [
        ("Verdict", "".join(_verdict(run, own[run.name]) for run in runs)),
        (
            "Results",
            "".join(_results(run, own[run.name], many=len(runs) > 1) for run in runs)
            + _train(runs)
            + (_compared(runs) if len(runs) > 1 else ""),
        ),
        ("Costs, folds, shocks", "".join(_terms(run, many=len(runs) > 1) for run in runs)),
        (
            "Growth",
            _choose("symbol", [charts.ALL, *symbols])
            + _chart("growth")
            + "<h3>Drawdown</h3>"
            + _chart("falls"),
        ),
        (
            "Attribution",
            "<p>What a year's log growth is made of, mean over symbols and seeds.</p>"
            + _chart("attribution"),
        ),
        ("Inside an agent", _inside(tracks, chosen, symbols)),
        ("Data and settings", "".join(_provenance(run) for run in runs)),
    ]
    sections = [(name, content) for name, content in sections if content]
    figures = {
        "growth": charts.growth(tracks, labels),
        "falls": charts.falls(tracks, labels),
        "attribution": charts.attribution(rows, labels),
        "parts": charts.parts(tracks, labels),
        "position": charts.position(tracks, labels),
        "funding": charts.funding(tracks, labels),
    }
    data = {
        "figures": {name: charts.as_data(figure) for name, figure in figures.items()},
        "trades": _trades(tracks, labels),
    }
    return _fill(
        title=f"fundenv report: {', '.join(run.name for run in runs)}",
        nav="".join(f'<a href="#s{i}">{name}</a>' for i, (name, _) in enumerate(sections)),
        body="".join(
            f'<section id="s{i}"><h2>{name}</h2>{content}</section>'
            for i, (name, content) in enumerate(sections)
        ),
        data=_script_safe(json.dumps(data, allow_nan=False)),
        plotly=get_plotlyjs(),
    )


def _fill(**values: str) -> str:
    """The template with `{{name}}` replaced, each once, longest last so that nothing inside a value
    is replaced.
    """
    text = (
        resources.files("experiments.html_report").joinpath("page.html").read_text(encoding="utf-8")
    )
    pieces = text.split("{{")
    return pieces[0] + "".join(
        values[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:])
    )


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")


def _text(value: Any) -> str:
    return html.escape(str(value))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
    """Cells are HTML already; the first column is a header of its row."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        '<div class="wide" tabindex="0"><table'
        f' class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _verdict(run: Run, found: list[Interval]) -> str:
    warnings = "".join(f"<li>{_text(line)}</li>" for line in cautions(run))
    beware = f'<div class="beware"><h3>Beware</h3><ul>{warnings}</ul></div>' if warnings else ""
    return f'<h3>{_text(run.name)}</h3><p class="verdict">{_text(verdict(found, run))}</p>{beware}'


def _results(run: Run, found: Sequence[Interval], *, many: bool) -> str:
    """One line per agent of a run, best growth first."""
    rows = run.rows[run.rows["split"] == run.split]
    rule = best_rule(found)
    lines = []
    for item in sorted(found, key=lambda item: -item.growth):
        own = rows[rows["label"] == item.label]
        mean = own.mean(numeric_only=True)
        against = "" if rule is None or rule is item else f"{100 * item.better[rule.label]:.0f} %"
        cells = [
            _text(item.label),
            str(item.seeds),
            f"<b>{signed(mean['net_log_growth'])}</b>",
            f"{signed(item.low)} .. {signed(item.high)}",
            against,
            f"{mean['sharpe']:.2f}",
            f"{100 * own['max_drawdown'].max():.2f}",
            f"{mean['liquidations_per_year']:.2f}",
            f"{mean['turnover_per_year']:.1f}",
            signed(mean["funding"]),
            signed(mean["spot_pnl"] + mean["perp_pnl"]),
            signed(mean[COSTS].sum()),
            signed(mean["cash_interest"]),
        ]
        lines.append(cells)
    header = [
        "agent",
        "seeds",
        "growth",
        "95 % interval",
        f"better than {_text(rule.label) if rule else '-'}",
        "Sharpe",
        "deepest fall",
    ]
    header += ["liquidations", "turnover", "funding", "price", "costs", "cash"]
    heading = f"<h3>{_text(run.name)}</h3>" if many else ""
    return (
        heading
        + _table(header, lines)
        + '<p class="note">Growth: log growth per year above the cash rate, %, mean over symbols'
        " and seeds. The interval is a paired stationary bootstrap over days, with the seeds"
        " drawn again each time; the column after it is the share of the draws in which the agent"
        " grows more than the best rule. Deepest fall: of any symbol and seed, %. Liquidations"
        " and turnover (quote traded on both legs over equity): per year. Funding, price, costs,"
        " cash interest: contributions to yearly log growth, %. Definitions:"
        " fundenv/metrics.py.</p>"
    )


def _terms(run: Run, *, many: bool) -> str:
    """Growth at other cash rates, at double costs and in the folds, and what named shocks do; empty
    for a run that was not a benchmark.
    """
    text = f"<h3>{_text(run.name)}</h3>" if many else ""
    if run.tidy is None:
        return ""
    header, *lines = terms(run.tidy)
    text += _table(
        [_text(cell) for cell in header], [[_text(cell) for cell in line] for line in lines]
    )
    text += (
        '<p class="note">Growth: log growth per year above the cash rate, %, mean over symbols and'
        " seeds, at each cash rate of the verdict, at twice the fees, spread and impact (mean over"
        " the cash rates), and on the validation piece of each walk-forward fold, which lies within"
        " the training span.</p>"
    )
    if run.stress is not None:
        header, *lines = stress.table(run.stress)
        text += "<h3>Under stress</h3>" + _table(
            [_text(cell) for cell in header], [[_text(cell) for cell in line] for line in lines]
        )
        text += f'<p class="note">{_text(stress.LEGEND.replace("`", ""))}</p>'
        drawn = run.path / "stress.png"
        if drawn.is_file():
            image = base64.b64encode(drawn.read_bytes()).decode()
            text += (
                '<img class="drawn" alt="growth since each shock began, and the share of accounts'
                f' invested" src="data:image/png;base64,{image}">'
            )
    return text


def _train(runs: Sequence[Run]) -> str:
    """Growth on the other splits beside it, where a run has them: how much was lost on the way to
    unseen data.
    """
    lines, others = (
        [],
        sorted(
            {split for run in runs for split in run.rows["split"]} - {run.split for run in runs}
        ),
    )
    for run in runs:
        for label in run.labels:
            means = run.rows[run.rows["label"] == label].groupby("split")["net_log_growth"].mean()
            if run.split in means:
                shown = [
                    signed(means[split]) if split in means else "" for split in (run.split, *others)
                ]
                lines.append([_text(label), *shown])
    if not others:
        return ""
    return (
        "<details><summary>Growth on the other spans</summary>"
        + _table(["agent", runs[0].split, *others], lines)
        + "</details>"
    )


def _compared(runs: Sequence[Run]) -> str:
    """Runs side by side by agent, and whether they are comparable."""
    names = [run.name for run in runs]
    by_agent: dict[str, dict[str, float]] = {}
    for run in runs:
        own = run.rows[run.rows["split"] == run.split]
        for agent, value in own.groupby("agent", sort=False)["net_log_growth"].mean().items():
            by_agent.setdefault(str(agent), {})[run.name] = float(value)
    lines = [
        [_text(agent), *(signed(values[name]) if name in values else "" for name in names)]
        for agent, values in by_agent.items()
    ]
    markets = {run.provenance["markets"].get(run.split, {}).get("hash") for run in runs}
    note = (
        ""
        if len(markets) == 1
        else (
            '<p class="beware">These runs were judged on different markets; their figures do not'
            " compare.</p>"
        )
    )
    return f"<h3>Runs compared: growth, % a year</h3>{note}" + _table(
        ["agent", *map(_text, names)], lines
    )


def _choose(name: str, options: Sequence[str]) -> str:
    entries = "".join(f"<option>{_text(option)}</option>" for option in options)
    return f'<label>{name} <select id="{name}">{entries}</select></label>'


def _chart(name: str) -> str:
    return f'<div class="chart" id="{name}" role="img" aria-label="chart: {name}"></div>'


def _inside(tracks: Sequence[Track], labels: Sequence[str], symbols: Sequence[str]) -> str:
    chosen = charts.details(tracks, labels)
    tables = "".join(
        _hidden(
            track,
            f"<h3>Growth above cash by month, %</h3>{_months(track)}<h3>Worst"
            f" episodes</h3>{_worst(track)}",
        )
        for track in chosen
    )
    return (
        "<p>Of an agent with several seeds the one of median growth is shown.</p><div"
        f' class="pick">{_choose("agent", labels)} '
        f"{_choose('account', symbols)}</div><h3>Where its growth came"
        f" from</h3>{_chart('parts')}<h3>What it held, and how near liquidation was</h3>"
        f"{_chart('position')}<h3>Funding against position</h3>{_chart('funding')}{tables}"
        f'<h3>Trades</h3><p><label>reason <select id="reason"><option>all</option></select></label>'
        f' <span id="count" role="status"></span></p>'
        f'<div class="wide" tabindex="0"><table id="trades"></table></div>'
    )


def _hidden(track: Track, content: str) -> str:
    return (
        f'<div class="one" data-agent="{_text(track.label)}" data-symbol="{_text(track.symbol)}"'
        f" hidden>{content}</div>"
    )


def _months(track: Track) -> str:
    table = months(track)
    lines = []
    for year, values in table.iterrows():
        cells = [_shade(value) for value in values]
        lines.append([str(year), *cells, f"<b>{signed(np.nansum(values) / 100)}</b>"])
    return _table(["year", *MONTHS, "year"], lines, kind="months")


def _shade(value: float) -> str:
    """A cell whose colour says how much and whose sign says which way."""
    if np.isnan(value):
        return ""
    red, green, blue = (0, 114, 178) if value > 0 else (213, 94, 0)
    return (
        "<span"
        f' style="background:rgba({red},{green},{blue},{min(0.45, abs(value) / 4):.2f})">{signed(value / 100)}</span>'
    )


def _worst(track: Track) -> str:
    lines = []
    for item in worst(track):
        parts = list(item["parts"].values())
        # both legs together: what one loses the other gains
        sums = {name: sum(parts[k] for k in columns) for name, _, columns in GROUPS}
        blame = sorted(sums.items(), key=lambda pair: pair[1])[:2]
        causes = ", ".join(
            f"{name} {signed(value / 100)} %"
            for name, value in blame
            if signed(value / 100).startswith("-")
        )
        ended = (
            f"{item['recovered']:%Y-%m-%d}" if item["recovered"] is not None else "not recovered"
        )
        cells = [
            f"-{item['depth']:.2f} %",
            f"{item['peak']:%Y-%m-%d}",
            f"{item['trough']:%Y-%m-%d}",
            ended,
            causes,
            f"{item['margin']:.1f} σ",
        ]
        lines.append([*cells, str(item["liquidations"])])
    return (
        _table(
            [
                "fall",
                "peak",
                "trough",
                "recovered",
                "what lost most",
                "nearest margin",
                "liquidations",
            ],
            lines,
        )
        if lines
        else "<p>It never fell.</p>"
    )


def _trades(tracks: Sequence[Track], labels: Sequence[str]) -> dict[str, Any]:
    """Rows of the trade list by agent and symbol, as texts and numbers."""
    found: dict[str, Any] = {}
    for track in charts.details(tracks, labels):
        book = track.trades
        if "reason" not in book:
            continue
        several = "+" in track.symbol
        names = [
            "time",
            *(["asset"] if several else []),
            *(name for name in list(TRADE_COLUMNS)[1:] if name in book),
        ]
        shown = book[names].tail(MOST_TRADES).copy()
        shown["time"] = pd.DatetimeIndex(shown["time"]).strftime("%Y-%m-%d %H:%M")
        rows = [
            [value if isinstance(value, str) else _short(value) for value in row]
            for row in shown.itertuples(index=False)
        ]
        found[f"{track.label}\n{track.symbol}"] = {
            "all": len(book),
            "columns": [TRADE_COLUMNS.get(name, name) for name in names],
            "reason": names.index("reason"),
            "rows": rows,
        }
    return found


def _short(value: float) -> float | None:
    return None if not np.isfinite(value) else float(f"{value:.6g}")


def _provenance(run: Run) -> str:
    record = run.provenance
    lines = [
        ["command", f"<code>{_text(record['command'])}</code>"],
        ["started", _text(record["started"])],
    ]
    lines += [["Python and machine", f"{_text(record['python'])}, {_text(record['machine'])}"]]
    lines += [
        [
            "versions",
            _text(", ".join(f"{name} {version}" for name, version in record["versions"].items())),
        ]
    ]
    for name, market in record["markets"].items():
        lines.append(
            [
                f"market {_text(name)}",
                f"hash <code>{_text(market['hash'])}</code>, venue {_text(market['venue'])}",
            ]
        )
        lines += [
            [f"&emsp;{_text(symbol)}", f"{_text(first)} .. {_text(last)} UTC"]
            for symbol, first, last in market["paths"]
        ]
        lines += [["&emsp;note", _text(note)] for note in market["notes"]]
    settings = [
        [_text(key), f"<code>{_text(json.dumps(value))}</code>"]
        for key, value in run.config.items()
    ]
    return (
        f"<h3>{_text(run.name)}</h3>{_table(['what', 'value'], lines, kind='words')}<details><summary>Settings"
        f" of the command</summary>{_table(['setting', 'value'], settings, kind='words')}</details>"
    )
