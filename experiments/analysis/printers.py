"""Prints a comparison: the same cells for results.md, the screen, report.html and TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.analysis.comparison import Comparison, Duel, Standing, no_statement
from experiments.analysis.tables import (
    LEGEND,
    Cells,
    Row,
    by_symbol,
    markdown,
    number,
    show_table,
    signed,
    splits,
    summary,
)
from experiments.core.run_folder import RunError, read_json, write_json, write_text

RESULTS = "results.json"
STANDINGS = (
    "Growth: log growth per year above cash, %, mean over symbols and seeds, with its 95 % interval"
    " over days (stationary block bootstrap) and whole seeds. IQM: interquartile mean over seeds"
    " and symbols, with its 95 % interval over whole seeds. 2x costs: at twice the fees, spread and"
    " impact. Of bound: (agent - always-on carry) / (clairvoyant - always-on carry). Drawdown, %;"
    " liquidations, turnover (quote traded on both legs over equity) per year; share of steps in"
    " the market: means over seeds, symbols and cash rates."
)
DUELS = (
    "Difference: of mean daily net log returns on the same days, x 365, %, with its 95 % interval"
    " over days and whole seeds.{P} p: one-sided; the chance of such a difference if there were"
    " none."
)
IMPROVEMENT = " P: probability that a seed grows more than the rule on a symbol."
CHOSEN = " The best rule was chosen on this same span, which flatters its difference and p."


def sections(comparison: Comparison) -> list[tuple[str, Cells, str]]:
    """Heading, table and legend of each part."""
    net = f"growth above {comparison.cash()}"
    shown = [(f"Comparison on the {comparison.span} span: {net}", standings(comparison), STANDINGS)]
    if comparison.duels:
        learners = any(each.kind == "learner" for each in comparison.standings)
        title = "Learners against rules" if learners else "The best rule against the others"
        shown.append((f"{title}: {net}", duels(comparison.duels), _legend(comparison, learners)))
    if comparison.luck:
        shown.append((f"Luck of the search: {net}", luck(comparison), ""))
    if comparison.folds:
        title = "Walk forward within the training span (validation pieces)"
        shown.append((f"{title}: {net}", _standings(comparison.folds), ""))
    return shown


def _legend(comparison: Comparison, learners: bool) -> str:
    told = any(each.improvement is not None or each.statement for each in comparison.duels)
    return DUELS.format(P=IMPROVEMENT if told else "") + ("" if learners else CHOSEN)


def standings(comparison: Comparison) -> Cells:
    """A line per agent."""
    return _standings(comparison.standings)


def _standings(lines: Sequence[Standing]) -> Cells:
    rates = list(dict.fromkeys(rate for each in lines for rate in each.by_cash_rate))
    folds = list(dict.fromkeys(fold for each in lines for fold in each.by_fold))
    header = ["agent", "seeds", "growth", "95 %", "IQM", "95 % of seeds"]
    header += [f"at {100 * float(rate):g} %" for rate in rates if len(rates) > 1]
    header += ["2x costs", "of bound", "worst seed", *(f"fold {int(fold) + 1}" for fold in folds)]
    header += ["Sharpe", "drawdown", "liq.", "turnover", "in market"]
    table = [header]
    for each in lines:
        several = each.seeds > 1
        table.append(
            [
                each.agent,
                str(each.seeds),
                signed(each.growth),
                span(each.low, each.high),
                signed(each.iqm),
                span(each.iqm_low, each.iqm_high)
                or (no_statement(1) if each.kind == "learner" else ""),
                *(signed(each.by_cash_rate[rate]) for rate in rates if len(rates) > 1),
                _maybe(each.double_costs),
                "" if each.of_bound is None else f"{number(100 * each.of_bound, 0)} %",
                signed(each.worst_seed) if several else "",
                *(_maybe(each.by_fold.get(fold)) for fold in folds),
                number(each.sharpe),
                number(100 * each.max_drawdown),
                number(each.liquidations_per_year),
                number(each.turnover_per_year, 1),
                number(each.time_in_market),
            ]
        )
    return _filled(table)


def duels(lines: Sequence[Duel]) -> Cells:
    """A line per agent and rule."""
    table = [["agent", "rule", "difference", "95 %", "P", "95 % of seeds", "p"]]
    for each in lines:
        table.append(
            [
                each.agent,
                each.other,
                signed(each.difference),
                span(each.low, each.high),
                each.statement if each.improvement is None else number(each.improvement),
                (
                    ""
                    if each.improvement_low is None or each.improvement_high is None
                    else f"{number(each.improvement_low)} .. {number(each.improvement_high)}"
                ),
                "" if each.p_value is None else probability(each.p_value),
            ]
        )
    return _filled(table)


def luck(comparison: Comparison) -> Cells:
    """A line per learner."""
    table = [["agent", "Sharpe", "configurations tried", "without a figure", "deflated Sharpe"]]
    for each in comparison.luck:
        counts = [str(each.configurations), str(each.without_figure)]
        table.append([each.agent, number(each.sharpe), *counts, number(each.deflated_sharpe)])
    return table


def span(low: float | None, high: float | None) -> str:
    """An interval in per cent; empty where nothing can be said."""
    return "" if low is None or high is None else f"{signed(low)} .. {signed(high)}"


def probability(value: float) -> str:
    """Three digits; 2,000 draws cannot show less than one in a thousand."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _maybe(value: float | None) -> str:
    return "" if value is None else signed(value)


def _filled(table: Cells) -> Cells:
    """Without the columns in which no line says anything."""
    keep = [k for k in range(len(table[0])) if any(line[k] for line in table[1:])]
    return [[line[k] for k in keep] for line in table]


def verdict_lines(comparison: Comparison) -> list[str]:
    """The verdict and what to beware of, as Markdown."""
    lines = [" ".join(comparison.verdict), ""]
    if comparison.cautions:
        lines += ["Beware:", "", *(f"- {caution}" for caution in comparison.cautions), ""]
    return lines


def comparison_lines(comparison: Comparison) -> list[str]:
    """Verdict, cautions and all tables, as Markdown."""
    lines = ["## Verdict", "", *verdict_lines(comparison)]
    for heading, table, legend in sections(comparison):
        lines += [f"## {heading}", "", *markdown(table), ""]
        lines += [legend, ""] if legend else []
    return lines


def write_results(
    folder: Path,
    rows: Sequence[Row],
    comparison: Comparison,
    *,
    title: str,
    facts: Sequence[str],
    cash_rate: float,
    more: Sequence[tuple[str, Cells]] = (),
) -> None:
    """results.json {"comparison", "rows"} and results.md: `facts`, verdict, tables of the
    comparison, `more` tables, and the rows of each split at `cash_rate`.
    """
    write_json(folder / RESULTS, {"comparison": comparison.to_dict(), "rows": list(rows)})
    lines = [f"# {title}", "", *(f"- {fact}" for fact in facts), "", *comparison_lines(comparison)]
    for heading, table in more:
        lines += [f"## {heading}", "", *markdown(table), ""]
    for heading, table in split_tables(rows, cash_rate):
        lines += [f"## {heading}", "", *markdown(table), ""]
    write_text(folder / "results.md", "\n".join([*lines, LEGEND]) + "\n")


def read_results(folder: Path) -> tuple[Comparison, list[Row]]:
    """The comparison and the rows of a finished run."""
    values: Any = read_json(folder / RESULTS)
    if not isinstance(values, dict) or not values.get("rows"):
        raise RunError(
            f"{folder / RESULTS} holds no comparison; run the benchmark or the evaluation again"
            " into another --out"
        )
    return Comparison.from_dict(values["comparison"]), values["rows"]


def split_tables(rows: Sequence[Row], cash_rate: float) -> list[tuple[str, Cells]]:
    """Heading and table of each split, the test first."""
    at = f"growth above the cash rate {100 * cash_rate:g} %"
    return [
        (f"{name}, {split}: {at}", made)
        for split in splits(rows)
        for name, made in (
            ("Figures", summary(rows, split)),
            ("By symbol", by_symbol(rows, split)),
        )
    ]


def show_results(
    rows: Sequence[Row],
    comparison: Comparison,
    *,
    cash_rate: float,
    more: Sequence[tuple[str, Cells]] = (),
) -> None:
    """Print all tables; the comparison and the verdict last, so that they stand at the prompt."""
    for heading, table in reversed(split_tables(rows, cash_rate)):
        if heading.startswith("Figures"):
            show_table(table, title=heading)
    for heading, table in reversed(more):
        show_table(table, title=heading)
    for heading, table, _ in reversed(sections(comparison)):
        show_table(table, title=heading)
    print("\n".join(verdict_lines(comparison)))
