"""The figures of the study as sentences and tables: Markdown, and cells for the page."""

from __future__ import annotations

from typing import Any, NamedTuple

WHOLE = "whole span"
WAYS = {
    "in_sample": "in sample",
    "shuffled": "shuffled folds",
    "blocks": "blocks, purged",
    "walk_forward": "walk-forward, purged",
}


class Section(NamedTuple):
    """A heading, a table (header first) and what its columns mean."""

    heading: str
    cells: list[list[str]]
    legend: str


def verdict(result: dict[str, Any]) -> list[str]:
    """What the study found, in sentences."""
    whole = [row for row in result["regressions"] if row["period"] == WHOLE]
    tests = [p for row in whole for p in row["p"]]
    plain = sum(abs(t) > 1.96 for row in whole for t in row["t_plain"])
    r2 = [row["r2"] for row in whole]
    ahead = [row["r2_ahead"] for row in whole]
    better = sum(value > 0 for value in ahead)
    said = [
        f"Least squares explain {min(r2):.4f} .. {max(r2):.4f} of the {result['horizon']}-day"
        f" returns in sample; out of sample {better} of {len(ahead)} beat the mean of the past"
        f" (R2 {min(ahead):.2f} .. {max(ahead):.2f}).",
        f"{plain} of {len(tests)} slopes look significant at 5 % if days count as independent;"
        f" {sum(p < 0.05 for p in tests)} are with errors that allow for the overlap, and about"
        f" {0.05 * len(tests):.1f} would be by chance.",
    ]
    if result["forest"]:
        date = [row for row in result["forest"] if row["inputs"] == "the date alone"]
        honest = [row for row in result["forest"] if row["inputs"].startswith("FR3")]
        low, high = (f(row["shuffled"] for row in date) for f in (min, max))
        bad, good = (f(row["walk_forward"] for row in honest) for f in (min, max))
        said.append(
            f"On shuffled folds a forest that sees nothing but the date scores {low:.2f} .."
            f" {high:.2f}: the folds leak. In purged walk-forward the forest on funding has"
            f" {bad:.2f} .. {good:.2f}."
        )
    return said


def sections(result: dict[str, Any]) -> list[Section]:
    """Every table of the study."""
    found = []
    if result["forest"]:
        found.append(_forest(result))
    found += [_regressions(result, WHOLE), _divergence(result, WHOLE)]
    for period in dict.fromkeys(row["period"] for row in result["regressions"]):
        if period != WHOLE:
            found += [_regressions(result, period), _divergence(result, period)]
    return found


def markdown(result: dict[str, Any]) -> str:
    """The whole study as Markdown."""
    parts = ["# Funding and the return to come", *verdict(result)]
    for section in sections(result):
        header, *lines = section.cells
        body = [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines)]
        parts += [f"## {section.heading}", "\n".join(body), section.legend]
    return "\n\n".join(part for part in parts if part) + "\n"


def number(value: float | None, digits: int, sign: str = "") -> str:
    """A figure, or nothing where there is none."""
    return "" if value is None else f"{value:{sign}.{digits}f}"


def _forest(result: dict[str, Any]) -> Section:
    cells = [["coin", "inputs", *WAYS.values()]]
    for row in result["forest"]:
        cells.append([row["coin"], row["inputs"], *(number(row[way], 2, "+") for way in WAYS)])
    return Section(
        "R2 of a random forest, and how it is made to look good",
        cells,
        f"{result['trees']} trees, at least {result['leaf']} days in a leaf; 5 folds; R2 against"
        " the mean of the days learned from. Shuffled folds learn from the neighbours of each"
        " judged day, whose returns overlap with its own: what identifies the date scores, and slow"
        " means of funding identify it. Purged: days whose returns reach into the judged ones are"
        " left out. Noise: means of drawn numbers over the same windows.",
    )


def _regressions(result: dict[str, Any], period: str) -> Section:
    cells = [["coin", "model", "n", "slope", "t, plain", "t, HAC", "p, HAC", "R2", "R2 ahead"]]
    for row in result["regressions"]:
        if row["period"] != period:
            continue
        cells.append(
            [
                row["coin"],
                row["model"],
                str(row["n"]),
                *(
                    " ".join(number(value, digits, sign) for value in row[key])
                    for key, digits, sign in (
                        ("slopes", 3, "+"), ("t_plain", 2, "+"), ("t", 2, "+"), ("p", 3, ""),
                    )
                ),
                number(row["r2"], 4),
                number(row["r2_ahead"], 3, "+"),
            ]
        )  # fmt: skip
    return Section(
        f"Regressions of the {result['horizon']}-day return, {period}",
        cells,
        "Slope: % of return for each % a year of funding. Plain t counts every day as new; HAC"
        " (Newey-West, twice the overlap) does not. R2 ahead: walk-forward in 5 purged pieces,"
        " against the mean known then.",
    )


def _divergence(result: dict[str, Any], period: str) -> Section:
    limit = result["limit"]
    names = {"above": f"above +{limit:g} %", "between": "between", "below": f"below -{limit:g} %"}
    cells = [["coin", "FR3 - FR14", "days", "mean return, %", "positive, %", "t, HAC", "p, HAC"]]
    for row in result["divergence"]:
        if row["period"] == period:
            cells.append(
                [
                    row["coin"],
                    names[row["side"]],
                    str(row["n"]),
                    number(row["mean"], 2, "+"),
                    number(row["positive"], 1),
                    number(row["t"], 2, "+"),
                    number(row["p"], 3),
                ]
            )
    return Section(
        f"Returns after days of divergence, {period}",
        cells,
        f"Mean of the {result['horizon']}-day return after such days; t of its difference from the"
        " days between.",
    )
