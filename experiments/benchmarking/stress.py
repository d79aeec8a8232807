"""Results of agents under named shocks: every shock is applied to every coin of the test span at
three places, all rollouts in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from agents.base import Agent
from experiments.analysis.pictures import palette
from experiments.analysis.tables import Cells, number, signed
from experiments.core.picture_file import write_picture
from experiments.core.provenance import label
from experiments.core.run_folder import write_frame
from experiments.rollout.make import roll_out_paths
from fundenv import metrics
from fundenv.config import EnvConfig, hours
from fundenv.market import Market, splice, stack
from fundenv.market.synthetic.ratios import TapeError
from fundenv.market.synthetic.shocks import SHOCKS
from fundenv.market.synthetic.splice import LEAD_HOURS

PLACES = (0.25, 0.5, 0.75)  # of each path, where it has room
BEFORE, AFTER = (
    90 * 24,
    7 * 24,
)  # hours of rollout before and after a shock, where the path has them
STRESS = "stress"  # folder in a run folder
_HOUR = 3_600_000_000_000  # ns


@dataclass(frozen=True, kw_only=True)
class Scenarios:
    """One path of `market` for each shock, coin and place."""

    market: Market
    shocks: tuple[str, ...]
    symbols: tuple[str, ...]
    begins: NDArray[np.int64]  # close at which the shock begins, ns since 1970 UTC


def scenarios(market: Market, settings: dict[str, Any]) -> Scenarios | None:
    """All shocks on all paths of `market`; None where its bars are not hourly or no path has
    room.
    """
    if market.bar_hours != 1:
        return None
    every = round(hours(EnvConfig.from_dict(settings).decision_interval, "decision_interval"))
    parts, shocks, symbols, begins = [], [], [], []
    for name, shock in SHOCKS.items():
        for path, (first, last) in enumerate(market.paths.tolist()):
            for row in _rows(market.close_ns[first:last], shock.hours, every):
                low, high = max(0, row - BEFORE), min(last - first, row + shock.hours + AFTER + 1)
                parts.append(
                    splice(
                        _cut(market, path, first + low, first + high),
                        shock,
                        at=row - low,
                        venue=settings["venue"],
                    )
                )
                shocks.append(name)
                symbols.append(label(market, path))
                begins.append(int(market.close_ns[first + row]))
    if not parts:
        return None
    return Scenarios(
        market=stack(parts), shocks=tuple(shocks), symbols=tuple(symbols), begins=np.array(begins)
    )


def scenarios_or_note(market: Market, settings: dict[str, Any]) -> Scenarios | None:
    """`scenarios`; where there are none, one printed line says why."""
    try:
        found = scenarios(market, settings)
        why = "no path has hourly bars and room for a shock, 31 days before it"
    except TapeError as error:
        found, why = None, str(error)
    if found is None:
        print(f"note  no table under stress: {why}")
    return found


def _rows(close_ns: NDArray[np.int64], length: int, every: int) -> list[int]:
    """Rows of a path at whose close a decision is made and a shock of `length` hours has room,
    nearest to `PLACES`; each once.
    """
    rows = np.flatnonzero(close_ns // _HOUR % every == 0)
    fit = rows[(rows >= LEAD_HOURS) & (rows <= len(close_ns) - length - 2)]
    roomy = fit[fit <= len(close_ns) - length - AFTER - 2]
    fit = roomy if len(roomy) else fit[:1]
    return (
        sorted({int(fit[np.abs(fit - place * len(close_ns)).argmin()]) for place in PLACES})
        if len(fit)
        else []
    )


def _cut(market: Market, path: int, low: int, high: int) -> Market:
    rows = slice(low, high)
    return replace(
        market,
        bars=market.bars[rows],
        features=market.features[rows],
        close_ns=market.close_ns[rows],
        paths=np.array([[0, high - low]]),
        symbols=(market.symbols[path],),
        notes=(),
    )


def run_scenarios(agent: Agent, given: Scenarios, settings: dict[str, Any]) -> pd.DataFrame:
    """One row per scenario and decision from the begin of the shock on: shock, symbol, begin, hour
    (since then), growth (of log equity since then), fall (below the highest equity since then),
    liquidations (so far), carry, margin_distance; and held: the carry when the shock began.
    Accounts that were ruined before have no rows.
    """
    frames = []
    for k, item in enumerate(roll_out_paths(agent, given.market, settings)):
        begin = given.begins[k]
        after = item.time > begin
        first = int(np.searchsorted(item.time, begin, side="right"))
        equity = item.equity[first:]
        carry, margin = item.state("carry"), item.state("margin_distance")
        frames.append(
            pd.DataFrame(
                {
                    "shock": given.shocks[k],
                    "symbol": given.symbols[k],
                    "begin": pd.Timestamp(int(begin), tz="UTC"),
                    "hour": (item.time[after] - begin) // _HOUR,
                    "growth": metrics.log_equity(equity)[1:],
                    "fall": metrics.drawdown(equity)[1:],
                    "liquidations": np.cumsum(item.liquidations[after]),
                    "carry": carry[after],
                    "margin_distance": margin[after],
                    "held": carry[first - 1] if first else 0.0,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def table(frame: pd.DataFrame) -> Cells:
    """One line per agent: for each shock growth, deepest fall and liquidations, and the share of
    accounts that were invested when it began.
    """
    shocks = list(dict.fromkeys(frame["shock"]))
    found = [["agent", "invested", *(cell for shock in shocks for cell in (shock, "fall", "liq."))]]
    for agent in frame["agent"].unique():
        own = frame[frame["agent"] == agent]
        line = [str(agent), f"{(own['held'].abs() > metrics.IN_MARKET).mean():.2f}"]
        for shock in shocks:
            each = own[own["shock"] == shock].groupby(["seed", "symbol", "begin"])
            line += [
                signed(each["growth"].last().mean()),
                number(100 * each["fall"].max().max()),
                number(each["liquidations"].last().mean()),
            ]
        found.append(line)
    return found


LEGEND = (
    "Named shocks (fundenv/market/synthetic/shocks.py) laid over every coin of the test span, at up"
    " to three places each. Under each date: mean growth of log equity from the begin of the shock"
    " to seven days after its end, %, with the interest on idle cash (`flat` earns nothing else);"
    " the deepest fall of any account, %; liquidations per account. Invested: share of accounts"
    " with a position when the shock began."
)


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """shock, agent, day (since it began), growth (mean log growth since then) and invested (share
    of accounts), the beginning included.
    """
    found = []
    for (shock, agent), rows in frame.groupby(["shock", "agent"], sort=False):
        own = rows.assign(invested=rows["carry"].abs() > metrics.IN_MARKET)
        each = own.pivot(
            index="hour", columns=["seed", "symbol", "begin"], values=["growth", "invested"]
        ).ffill()  # a ruined account stays ruined
        growth, invested = (
            each.xs(name, axis=1, level=0).to_numpy(float).mean(axis=1)
            for name in ("growth", "invested")
        )
        start = float((own["held"].abs() > metrics.IN_MARKET).mean())
        found.append(
            pd.DataFrame(
                {
                    "shock": shock,
                    "agent": agent,
                    "day": np.r_[0.0, each.index.to_numpy(float) / 24],
                    "growth": np.r_[0.0, growth],
                    "invested": np.r_[start, invested],
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def picture(frame: pd.DataFrame, path: Path) -> None:
    """Mean growth since the shock and share of accounts invested, a column per shock, PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shocks, names = list(dict.fromkeys(frame["shock"])), list(frame["agent"].unique())
    colours = palette(names)
    figure, axes = plt.subplots(
        2,
        len(shocks),
        figsize=(3.2 * len(shocks), 5.2),
        constrained_layout=True,
        sharex="col",
        squeeze=False,
    )
    found = curves(frame)
    for column, shock in enumerate(shocks):
        for agent in names:
            own = found[(found["shock"] == shock) & (found["agent"] == agent)]
            for row, values in enumerate((100 * own["growth"], own["invested"])):
                axes[row, column].plot(
                    own["day"],
                    values,
                    color=colours[agent].colour,
                    linestyle=colours[agent].line,
                    label=agent,
                    linewidth=1.5,
                )
        axes[0, column].set_title(shock)
        axes[0, column].axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axes[1, column].set_xlabel("days since it began")
        axes[1, column].set_ylim(-0.04, 1.04)
    axes[0, 0].set_ylabel("growth since, %")
    axes[1, 0].set_ylabel("share invested")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(5, len(names)),
        frameon=False,
    )
    write_picture(path, figure, dpi=100)


def conclude(out: Path, keys: Sequence[str]) -> Cells | None:
    """The table of what `run_scenarios` found for `keys`, from the files in the run folder `out`,
    which receives stress.parquet and stress.png; None where no shock was run.
    """
    files = [out / STRESS / f"{key}.parquet" for key in keys]
    frames = [pd.read_parquet(file) for file in files if file.is_file()]
    if not frames:
        return None
    whole = pd.concat(frames, ignore_index=True)
    write_frame(out / "stress.parquet", whole)
    picture(whole, out / "stress.png")
    return table(whole)
