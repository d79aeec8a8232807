"""Small pieces of HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from experiments.analysis.tables import Cells


def text(value: Any) -> str:
    """Escaped."""
    return html.escape(str(value))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
    """A table that scrolls within its box. Cells are HTML already; the first of each row is its
    header.
    """
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        '<div class="wide" tabindex="0"><table'
        f' class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def cells(given: Cells) -> str:
    """A printed table as HTML."""
    header, *lines = [[text(cell) for cell in line] for line in given]
    return table([cell.replace(" %", "&nbsp;%") for cell in header], lines)


def note(words: str) -> str:
    """Small print."""
    return f'<p class="note">{text(words)}</p>' if words else ""


def choose(name: str, options: Sequence[str]) -> str:
    """A list to choose from."""
    entries = "".join(f"<option>{text(option)}</option>" for option in options)
    return f'<label>{name} <select id="{name}">{entries}</select></label>'


def chart(name: str) -> str:
    """The place of a chart."""
    return f'<div class="chart" id="{name}" role="img" aria-label="chart: {name}"></div>'
