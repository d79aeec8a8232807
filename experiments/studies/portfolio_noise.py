"""How much of what a clairvoyant earns above the best rule is noise: the paired bootstrap of the
comparison, on the clairvoyant of shuffled decisions.

The clairvoyant of `portfolio_headroom` is solved for each half-year, subset and cash rate. Its
decisions are shuffled by shifting its schedule in time: they keep how often and how large they
are, and lose what they knew. Each shift counts as a seed. What it earns with funding at zero are
moves of the basis, which no policy can forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.analysis.panel import paired_over
from experiments.analysis.tables import Cells, markdown
from experiments.core.run_folder import write_json, write_text
from experiments.studies.portfolio_headroom import schedules
from experiments.studies.portfolio_panel import YEAR, Panel
from experiments.studies.portfolio_tables import ends, signed
from experiments.studies.portfolio_walks import half_years
from fundenv.market import Market, between, narrowed

Array = NDArray[np.float64]
LEVELS = (0.5, 0.95, 1.5, 2.0)


def conclude(panel: Panel, coins: Market, spans: Sequence[str], out: Path) -> None:
    """Solve, compare, write headroom.md and headroom.json, print."""
    best = panel.best()
    days = shuffled(panel, coins, spans)
    rule = panel.days(best)
    told = {}
    for name, mine, other in (
        ("clairvoyant", days["known"], None),
        ("the same decisions, shuffled", days["shifted"], None),
        ("clairvoyant, funding at zero", days["basis"], None),
        (f"clairvoyant less {best}", days["known"], rule),
        (f"shuffled less {best}", days["shifted"], rule),
        ("clairvoyant less shuffled", days["known"], days["shifted"]),
        ("clairvoyant less its growth with funding at zero", days["known"], days["basis"]),
    ):
        told[name] = paired_over(mine, other)._asdict()
    cells: Cells = [["growth above cash, % a year", "mean", "95 %", "p"]]
    for name, found in told.items():
        low, high = found["low"], found["high"]
        cells.append([name, signed(found["value"]), ends(low, high), f"{found['p_value']:.3f}"])
    text = "\n".join(markdown(cells)) + "\n"
    write_json(out / "headroom.json", told)
    write_text(out / "headroom.md", text)
    print("\n" + text)


def shuffled(panel: Panel, coins: Market, spans: Sequence[str]) -> dict[str, Array]:
    """Daily growth in % a year, (days, subsets, shifts), of the clairvoyant (known), its shuffled
    decisions (shifted) and with funding at zero (basis), on the days of `panel`.
    """
    found: dict[str, list[Array]] = {"known": [], "basis": [], "shifted": []}
    halves = [part for span in spans for part in _parts(coins, span)]
    with tqdm(total=len(halves) * len(panel.subsets), desc="headroom", mininterval=5.0) as bar:
        for number, (half, length) in enumerate(halves):
            columns: dict[str, list[Array]] = {name: [] for name in found}
            for own in panel.subsets:
                each = [
                    schedules(narrowed(half, own), LEVELS, rate, number)
                    for rate in panel.cash_rates
                ]
                for name, values in columns.items():
                    mean = np.mean([np.atleast_2d(getattr(one, name)) for one in each], axis=0)
                    values.append(_by_day(mean, length))
                bar.update(1)
            for name, values in columns.items():
                found[name].append(np.stack(values, axis=1))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _parts(coins: Market, span: str) -> list[tuple[Market, int]]:
    """(half-year, its days) of a judged span."""
    _, halves = half_years(coins, span)
    return [
        (
            between(
                halves,
                pd.Timestamp(int(halves.close_ns[first]), tz="UTC"),
                pd.Timestamp(int(halves.close_ns[last - 1]), tz="UTC"),
            ),
            (last - first - 1) // 24,
        )
        for first, last in halves.paths.tolist()
    ]


def _by_day(gains: Array, length: int) -> Array:
    """(days, n) in % a year from thousandths (n, T) of decisions; the days before the first and
    after the last earn nothing.
    """
    fit = np.zeros((len(gains), 3 * length))
    late = max(0, fit.shape[1] - gains.shape[1])
    fit[:, late:] = gains[:, : fit.shape[1] - late]
    return np.asarray(0.1 * YEAR * fit.reshape(len(gains), length, 3).sum(axis=2).T)
