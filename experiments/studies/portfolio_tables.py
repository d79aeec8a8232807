"""The tables of a comparison on one capital: printed, and written to results.md, results.json and
results.parquet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.analysis.statistics import Paired
from experiments.analysis.tables import Cells, markdown, number
from experiments.core.run_folder import write_frame, write_json, write_text
from experiments.studies.portfolio_panel import SOURCES, Panel


def conclude(panel: Panel, out: Path) -> None:
    """Compute, write and print everything."""
    standings = [panel.standing(name) for name in panel.names]
    duels = [
        {"agent": mine, "other": other, "where": where, **found._asdict()}
        for mine, other, where, found in _duels(panel)
    ]
    write_frame(out / "results.parquet", panel.frame)
    write_json(out / "results.json", {"standings": standings, "differences": duels})
    rates = ", ".join(f"{100 * rate:g}" for rate in panel.cash_rates)
    text = [
        f"Growth above cash, % a year, mean over cash rates of {rates} %, over"
        f" {len(panel.subsets)} subsets of the coins and {len(panel.halves)} half-years, each begun"
        " in cash. p is one-sided and not corrected for the number of comparisons.",
        "",
        *markdown(_standings(panel, standings)),
        "",
        *markdown(_halves(panel, standings)),
        "",
        *_liquidated(standings),
        "",
        *markdown(_differences(duels)),
        "",
        *(markdown(_sources(panel)) if panel.of_kind("learner") else []),
    ]
    write_text(out / "results.md", "\n".join(text) + "\n")
    print("\n" + "\n".join(text))


def _standings(panel: Panel, standings: list[dict[str, Any]]) -> Cells:
    single = any(each["one_coin"] is not None for each in standings)
    dear = any(each["double_costs"] is not None for each in standings)
    head = ["agent", "growth", "95 %", "IQM"]
    head += [f"at {100 * rate:g} %" for rate in panel.cash_rates]
    head += ["2x costs"] * dear + ["thin"] * bool(panel.thin) + ["one coin"] * single
    head += ["fall", "deepest", "CVaR", "liquidated"]
    cells = [head]
    for each in standings:
        seeds = f", {each['seeds']} seeds" if each["seeds"] > 1 else ""
        line = [each["agent"] + seeds, signed(each["mean"]), ends(each["low"], each["high"])]
        line += [signed(each["iqm"]), *map(signed, each["by_cash_rate"].values())]
        line += [signed(each["double_costs"])] * dear
        line += [signed(each["thin"])] * bool(panel.thin)
        line += [signed(each["one_coin"])] * single
        line += [number(each["fall"]), number(each["deepest"]), number(abs(each["cvar"]), 3)]
        cells.append([*line, f"{each['liquidated']} of {each['accounts']}"])
    return cells


def _halves(panel: Panel, standings: list[dict[str, Any]]) -> Cells:
    cells = [["growth by half-year", *panel.halves]]
    for each in standings:
        cells.append([each["agent"], *(signed(each["by_half"][half]) for half in panel.halves)])
    return cells


def _liquidated(standings: list[dict[str, Any]]) -> list[str]:
    found = [
        f"- {each['agent']}: {'; '.join(each['where'][:12])}"
        + (f"; and {len(each['where']) - 12} more" if len(each["where"]) > 12 else "")
        for each in standings
        if each["where"]
    ]
    return ["Liquidated:", *found] if found else ["Nobody was liquidated."]


def _duels(panel: Panel) -> list[tuple[str, str, str, Paired]]:
    """Each learner, and the best rule, against all others; over all half-years, the thin ones, each
    half-year against the best rule there, and the coins alone.
    """
    found = []
    best = panel.best()
    rules, learners = panel.of_kind("rule"), panel.of_kind("learner")
    for mine in [*learners, *panel.of_kind("bound")]:
        others = rules if mine in learners else [best]
        found += [(mine, other, "all", panel.difference(mine, other)) for other in others]
    for mine in learners:
        if panel.thin:
            top = max(rules, key=lambda name: panel.standing(name)["thin"])
            found.append((mine, top, "thin", panel.difference(mine, top, panel.thin)))
        for half in panel.halves:
            top = panel.best(half=half)
            found.append((mine, top, half, panel.difference(mine, top, [half])))
        if panel.singles:
            walked = [name for name in rules if panel.standing(name)["one_coin"] is not None]
            top = max(walked, key=lambda name: panel.standing(name)["one_coin"])
            found.append((mine, top, "one coin", panel.difference(mine, top, singles=True)))
    if not learners:
        found += [
            (best, other, "all", panel.difference(best, other)) for other in rules if other != best
        ]
    return found


def _differences(duels: list[dict[str, Any]]) -> Cells:
    cells = [["difference", "where", "% a year", "95 %", "p"]]
    for each in duels:
        p = each["p_value"]
        cells.append(
            [
                f"{each['agent']} less {each['other']}",
                each["where"],
                signed(each["value"]),
                ends(each["low"], each["high"]),
                "" if not np.isfinite(p) else "<.001" if p < 0.001 else f"{p:.3f}",
            ]
        )
    return cells


def _sources(panel: Panel) -> Cells:
    """Where the difference from the best rule comes from."""
    best = panel.best()
    cells = [["growth comes from", *SOURCES, "sum"]]
    shown = [best, *panel.of_kind("learner")]
    for name in shown:
        parts = panel.standing(name)["sources"]
        cells.append([name, *map(signed, parts.values()), signed(sum(parts.values()))])
    for name in shown[1:]:
        parts = panel.sources(name, best)
        line = [*map(signed, parts.values()), signed(sum(parts.values()))]
        cells.append([f"{name} less {best}", *line])
    return cells


def signed(value: float | None) -> str:
    """A figure in % with its sign; nothing where there is none."""
    if value is None or not np.isfinite(value):
        return ""
    text = f"{value:+.2f}"
    return text[1:] if float(text) == 0 else text


def ends(low: float, high: float) -> str:
    """An interval, nothing where there is none."""
    return f"{signed(low)} .. {signed(high)}" if np.isfinite(low) else ""
