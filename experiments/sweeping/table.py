"""The one table of a sweep: a line for each agent in each cell, from the results of the cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.analysis.compare import DAYS, FINAL, daily_means
from experiments.analysis.comparison import Standing
from experiments.analysis.overfit import deflated
from experiments.analysis.printers import read_results, span
from experiments.analysis.tables import Cells, markdown, number, show_table, signed
from experiments.benchmarking.jobs import DAILY
from experiments.core.run_folder import write_frame, write_text
from experiments.sweeping.grid import Values
from fundenv.metrics import sharpe

Array = NDArray[np.float64]
SHOWN = 20  # lines on the screen
FIGURES = (
    "seeds", "growth", "low", "high", "iqm", "worst_seed", "double_costs", "max_drawdown",
    "deepest_fall", "liquidations_per_year", "turnover_per_year", "time_in_market",
)  # fmt: skip
LEGEND = (
    "Growth: log growth per year above {cash}, %, on the test span, mean over symbols and seeds,"
    " with its 95 % interval over days and whole seeds, which does not know of the choice among the"
    " lines. 2x costs: at twice the fees, spread and impact. Drawdown, %; liquidations per year."
    " Tried: configurations of the agent: those of all cells (once where they gave a rule the same"
    " returns), of a learner also others that were logged. Deflated Sharpe: probability that the"
    " true Sharpe ratio is above zero, if the line was chosen as the best of so many of its agent;"
    " a choice among agents comes on top. The first line of a long table is partly luck. Cells with"
    " other symbols, spans or venues were judged on other data: compare the agents within such a"
    " cell. `clairvoyant` knows the future."
)


def conclude(out: Path, cells: dict[str, Values]) -> None:
    """Write results.parquet and results.md of the sweep from its finished cells; print the first
    lines.
    """
    frame = rows(out, cells)
    write_frame(out / "results.parquet", frame)
    keys = list(dict.fromkeys(key for values in cells.values() for key in values))
    lines = _lines(frame, keys)
    said = _counted(frame, len(cells))
    net = list(dict.fromkeys(read_results(out / name)[0].cash() for name in cells))
    cash = net[0] if len(net) == 1 else "the cash rates of its cell"
    text = ["# Sweep", "", said, "", *markdown(lines), "", LEGEND.format(cash=cash)]
    write_text(out / "results.md", "\n".join(text) + "\n")
    show_table(lines[: SHOWN + 1], title="Sweep: best growth first")
    if len(lines) > SHOWN + 1:
        print(f"{len(lines) - 1 - SHOWN} more lines in {out / 'results.md'}")
    print(f"{said}\nresults: {out / 'results.md'}   (results.parquet beside it)")


def rows(out: Path, cells: dict[str, Values]) -> pd.DataFrame:
    """A row for each agent in each cell: cell, what it varies, agent, kind, figures of the test
    span as in the cell's results.json (fractions per year), tried (configurations of the agent from
    which it would be chosen) and deflated_sharpe; both NaN for a bound. The most growth first,
    bounds last.
    """
    found: list[dict[str, Any]] = []
    returns: dict[str, dict[str, Array]] = {}  # rule -> cell -> daily returns
    for name, values in cells.items():
        comparison, _ = read_results(out / name)
        luck = {each.agent: each for each in comparison.luck}
        for each in comparison.standings:
            line: dict[str, Any] = {"cell": name, **values, "agent": each.agent, "kind": each.kind}
            line |= _figures(each) | {"tried": np.nan, "deflated_sharpe": np.nan}
            if each.agent in luck:
                line["tried"] = luck[each.agent].configurations
                line["deflated_sharpe"] = luck[each.agent].deflated_sharpe
            elif each.kind == "rule":
                returns.setdefault(each.agent, {})[name] = _daily(out / name, each.agent)
            found.append(line)
    for line in found:
        if (own := returns.get(line["agent"])) is not None:
            # what a cell varies may not reach the rule: the same returns are one configuration
            ratios = np.unique([sharpe(days, days_per_return=DAYS) for days in own.values()])
            line["tried"] = len(ratios)
            line["deflated_sharpe"] = deflated(own[line["cell"]], ratios)
    frame = pd.DataFrame(found)
    order = frame.assign(bound=frame["kind"] == "bound").sort_values(
        ["bound", "growth"], ascending=[True, False], kind="stable"
    )
    return order.drop(columns="bound").reset_index(drop=True)


def _figures(standing: Standing) -> dict[str, Any]:
    return {name: getattr(standing, name) for name in FIGURES}


def _daily(folder: Path, rule: str) -> Array:
    """Daily net log returns of a rule on the test span, mean over its symbols and cash rates."""
    daily = pd.read_parquet(folder / DAILY / f"{rule}-0.parquet")
    return daily_means(daily[daily["fold"] == FINAL], rule).mean(axis=1).to_numpy()


def _lines(frame: pd.DataFrame, keys: list[str]) -> Cells:
    """Header and a line for each row."""
    head = [*keys, "agent", "seeds", "growth", "95 %", "2x costs", "drawdown", "liq."]
    table = [[*head, "tried", "deflated Sharpe"]]
    for row in frame.to_dict("records"):
        chosen = pd.notna(row["tried"])
        table.append(
            [
                *(str(row[key]) for key in keys),
                str(row["agent"]),
                str(row["seeds"]),
                signed(row["growth"]),
                "" if pd.isna(row["low"]) else span(row["low"], row["high"]),
                "" if pd.isna(row["double_costs"]) else signed(row["double_costs"]),
                number(100 * row["max_drawdown"]),
                number(row["liquidations_per_year"]),
                str(int(row["tried"])) if chosen else "",
                number(row["deflated_sharpe"]) if chosen else "",
            ]
        )
    return table


def _counted(frame: pd.DataFrame, cells: int) -> str:
    """A sentence: what was tried."""
    tried = frame.dropna(subset=["tried"]).groupby("agent", sort=False)["tried"].max()
    counts = ", ".join(f"{agent} {int(count)}" for agent, count in tried.items())
    return (
        f"{cells} cells; configurations tried of each agent: {counts}. The best line of an agent"
        " was chosen from so many, which the column deflated Sharpe takes into account."
    )
