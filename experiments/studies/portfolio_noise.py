"""How much of what a clairvoyant earns above the best rule is noise: the paired bootstrap of the
comparison, on the clairvoyant of shuffled decisions.

The clairvoyant of `portfolio_headroom` is solved for each half-year and subset at one cash rate.
Its decisions are shuffled by shifting its schedule in time: they keep how often and how large they
are, and lose what they knew. Each shift counts as a seed. What it earns with funding at zero are
moves of the basis, which no policy can forecast.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from agents.base import Agent
from experiments.analysis.panel import paired_over
from experiments.analysis.tables import Cells, markdown
from experiments.core.run_folder import write_json, write_text
from experiments.studies.portfolio_headroom import SHIFTS, schedules
from experiments.studies.portfolio_panel import YEAR, Panel
from experiments.studies.portfolio_records import read_arrays, write_arrays
from experiments.studies.portfolio_tables import ends, signed
from experiments.studies.portfolio_walks import half_years, walk
from fundenv.market import Market, between, narrowed

Array = NDArray[np.float64]
LEVELS = (0.95, 2.0, 4.0)


def conclude(panel: Panel, coins: Market, spans: Sequence[str], out: Path) -> None:
    """Solve, compare, write headroom.md and headroom.json, print."""
    best, rate = panel.best(), sorted(panel.cash_rates)[len(panel.cash_rates) // 2]
    told = [best, coins.hash, list(spans), panel.subsets, rate, LEVELS, SHIFTS]
    conditions, path = json.dumps(told), out / "headroom.npz"
    days = read_arrays(path, conditions)
    if days is None:
        days = shuffled(panel, best, coins, spans, rate)
        write_arrays(path, conditions, days)
    rule = days["rule"]
    found = {}
    for name, mine, other in (
        ("clairvoyant", days["known"], None),
        ("the same decisions, shuffled", days["shifted"], None),
        ("clairvoyant, funding at zero", days["basis"], None),
        (f"clairvoyant less {best}", days["known"], rule),
        (f"shuffled less {best}", days["shifted"], rule),
        ("clairvoyant less shuffled", days["known"], days["shifted"]),
        ("clairvoyant less its growth with funding at zero", days["known"], days["basis"]),
    ):
        found[name] = paired_over(mine, other)._asdict()
    cells: Cells = [[f"growth above cash of {100 * rate:g} %, % a year", "mean", "95 %", "p"]]
    for name, each in found.items():
        p = each["p_value"]
        shown = "<.001" if p < 0.001 else f"{p:.3f}"
        cells.append([name, signed(each["value"]), ends(each["low"], each["high"]), shown])
    text = "\n".join(markdown(cells)) + "\n"
    write_json(out / "headroom.json", found)
    write_text(out / "headroom.md", text)
    print("\n" + text)


def shuffled(
    panel: Panel, best: str, coins: Market, spans: Sequence[str], rate: float
) -> dict[str, Array]:
    """Daily growth in % a year, (days, subsets, shifts), of the clairvoyant (known), its shuffled
    decisions (shifted), with funding at zero (basis), and of the rule `best`.
    """
    found: dict[str, list[Array]] = {"known": [], "basis": [], "shifted": [], "rule": []}
    with tqdm(
        total=len(panel.halves) * len(panel.subsets), desc="headroom", mininterval=5.0
    ) as bar:
        for fold, span in enumerate(spans):
            _, halves = half_years(coins, span)
            agent = next(
                record.entrant.agent
                for record in panel.records
                if record.entrant.name == best and record.fold == fold
            )
            each = [_of_subset(narrowed(halves, own), agent, rate, bar) for own in panel.subsets]
            for name, parts in found.items():
                parts.append(np.stack([one[name] for one in each], axis=1))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _of_subset(halves: Market, agent: Agent, rate: float, bar: Any) -> dict[str, Array]:
    """Daily growth (days, shifts) over all half-years of a span."""
    walked = walk(agent, halves, (rate,))
    found: dict[str, list[Array]] = {"known": [], "basis": [], "shifted": [], "rule": []}
    for number, (first, last) in enumerate(halves.paths.tolist()):
        close = [pd.Timestamp(int(halves.close_ns[row]), tz="UTC") for row in (first, last - 1)]
        made = schedules(between(halves, *close), LEVELS, rate, number)
        length = int(walked.length[number])
        for name in made._fields:
            found[name].append(_by_day(np.atleast_2d(getattr(made, name)), length))
        found["rule"].append(100 * YEAR * walked.days[number, :length, None])
        bar.update(1)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _by_day(gains: Array, length: int) -> Array:
    """(days, n) in % a year from thousandths (n, T) of decisions; the days before the first and
    after the last earn nothing.
    """
    fit = np.zeros((len(gains), 3 * length))
    late = max(0, fit.shape[1] - gains.shape[1])
    fit[:, late:] = gains[:, : fit.shape[1] - late]
    return np.asarray(0.1 * YEAR * fit.reshape(len(gains), length, 3).sum(axis=2).T)
