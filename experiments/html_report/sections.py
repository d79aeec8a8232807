"""A page of sections with charts, in the look of the report of a run: for studies that have tables
and charts of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from experiments.html_report.draw import as_data
from experiments.html_report.html import text


def sectioned(
    title: str, parts: Sequence[tuple[str, str]], figures: Mapping[str, go.Figure]
) -> str:
    """The page as one HTML text: parts are (heading, HTML), figures stand where
    `html.chart(name)` says so.
    """
    body = "".join(
        f'<section id="s{i}"><h2>{name}</h2>{content}</section>'
        for i, (name, content) in enumerate(parts)
    )
    nav = "".join(f'<a href="#s{i}">{name}</a>' for i, (name, _) in enumerate(parts))
    data = {name: as_data(figure) for name, figure in figures.items()}
    return _TEMPLATE.format(
        title=text(title),
        style=_style(),
        nav=nav,
        body=body,
        plotly=get_plotlyjs(),
        data=json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    )


def origin(record: dict[str, Any]) -> list[list[str]]:
    """Rows of a table that says where the figures come from, of the provenance of a run."""
    lines = [
        ["command", f"<code>{text(record['command'])}</code>"],
        ["started", text(record["started"])],
    ]
    for market in record["markets"].values():
        lines.append(
            ["market", f"hash <code>{text(market['hash'])}</code>, {text(market['venue'])}"]
        )
        lines += [[text(s), f"{text(a)} .. {text(b)} UTC"] for s, a, b in market["paths"]]
        lines += [["accepted", text(each)] for each in market["cautions"]]
    return lines


def _style() -> str:
    """The look of the report of a run."""
    whole = resources.files("experiments.html_report").joinpath("page.html")
    source = whole.read_text(encoding="utf-8")
    return source.split("<style>")[1].split("</style>")[0]


_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<nav aria-label="sections"><div>{nav}</div></nav>
<main>
<h1>{title}</h1>
{body}
</main>
<script>{plotly}</script>
<script type="application/json" id="data">{data}</script>
<script>
"use strict";
const figures = JSON.parse(document.getElementById("data").textContent);
const own = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function draw() {{
  const narrow = window.innerWidth < 600;
  for (const [name, figure] of Object.entries(figures)) {{
    const layout = structuredClone(figure.layout);
    layout.font.color = own("--ink");
    for (const axis of ["xaxis", "yaxis"]) layout[axis].gridcolor = own("--grid");
    layout.hoverlabel = {{bgcolor: own("--back"), font: {{color: own("--ink")}}}};
    if (narrow) {{ layout.margin.l = 44; layout.font.size = 11; }}
    const config = {{responsive: true, displaylogo: false, displayModeBar: false}};
    Plotly.react(name, structuredClone(figure.data), layout, config);
  }}
}}
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
</script>
</body>
</html>
"""
