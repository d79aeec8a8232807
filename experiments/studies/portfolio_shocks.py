"""What agents on one capital do in the hours of named shocks: how much of the capital works when a
shock comes, how fast it is taken back, and what the shock costs.

Every shock of `fundenv.market.synthetic.shocks` is laid over a judged span of all coins, at three
places; and where the data hold its real date, the real days are walked too, from cash at most 90
days before (11 where the data begin so late). A learner that was trained on those days has seen
them, and the table says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agents.base import Agent
from experiments.analysis.pictures import palette
from experiments.analysis.tables import Cells, markdown
from experiments.benchmarking.stress import AFTER, BEFORE, Scenarios, scenarios
from experiments.core.cli import run
from experiments.core.market_args import span_edges
from experiments.core.picture_file import write_picture
from experiments.core.run_folder import RunError, write_frame, write_text
from experiments.rollout.make import roll_out_paths
from experiments.studies.margin_markets import COINS, load
from experiments.studies.margin_policy import agent_named, shown
from experiments.studies.portfolio_tables import signed
from experiments.studies.portfolio_walks import PORTFOLIO
from fundenv import metrics
from fundenv.market import Market, between
from fundenv.market.synthetic.shocks import SHOCKS

_HOUR = 3_600_000_000_000  # ns
SHOWN = 96  # hours of the picture before and after a shock begins


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the study."""

    data: Path
    """Folder of the data files."""
    agents: tuple[str, ...]
    """Rules with their parameters, and folders of trained agents."""
    symbols: tuple[str, ...] = COINS
    """The coins."""
    trained: str = "2020-02:2022-06"
    """START:END on which the trained agents have learned: real days within it have been seen."""
    laid: str = "2024-07:2025-06"
    """START:END over which the shocks are laid."""
    cash_rate: float = 0.02
    """Cash rate of the accounts."""
    out: Path = Path("runs/portfolio-shocks")
    """Folder of shocks.md, shocks.parquet and shocks.png."""


def main(args: Args) -> None:
    """Walk, print, draw."""
    if not args.agents:
        raise RunError("--agents is empty; give rules of one capital or folders of trained agents")
    coins = load(args.data, args.symbols).together
    learned = span_edges(args.trained, "--trained")
    frames = []
    for text in args.agents:
        agent = agent_named(text)
        frames.append(laid(agent, coins, args).assign(agent=shown(text)))
        frames.append(real(agent, coins, args, learned).assign(agent=shown(text)))
    frame = pd.concat(frames, ignore_index=True)
    text = "\n".join(markdown(table(frame)))
    write_frame(args.out / "shocks.parquet", frame)
    write_text(args.out / "shocks.md", text + "\n")
    picture(frame[frame["where"] == "laid"], args.out / "shocks.png")
    print(text)


def laid(agent: Agent, coins: Market, args: Args) -> pd.DataFrame:
    """Rows of the shocks laid over the judged span; `RunError` where none has room."""
    settings = _settings(args, coins)
    over = between(coins, *span_edges(args.laid, "--laid"))
    found = scenarios(over, settings)
    if found is None:
        raise RunError(f"--laid {args.laid} has no room for a shock; give a span of half a year")
    return walked(agent, found, settings).assign(where="laid")


def real(
    agent: Agent, coins: Market, args: Args, learned: tuple[pd.Timestamp, pd.Timestamp]
) -> pd.DataFrame:
    """Rows of the real days of each shock that the data hold."""
    frames = []
    for name, shock in SHOCKS.items():
        begin = pd.Timestamp(name, tz="UTC")
        end = begin + pd.Timedelta(hours=shock.hours + AFTER)
        first, last = coins.close_ns[0], coins.close_ns[-1]
        if begin.value < first + 24 * _HOUR or end.value > last:
            continue
        part = between(coins, begin - pd.Timedelta(hours=BEFORE), end + pd.Timedelta(hours=1))
        if part.n_paths != 1:
            continue
        given = Scenarios(
            market=part, shocks=(name,), symbols=("all",), begins=np.array([begin.value])
        )
        seen = learned[0] < end and begin < learned[1]
        where = "real, seen in training" if agent.learns and seen else "real"
        frames.append(walked(agent, given, _settings(args, coins)).assign(where=where))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def walked(agent: Agent, given: Scenarios, settings: dict[str, Any]) -> pd.DataFrame:
    """A row for each decision from four days before a shock: shock, place, hour (since it begins),
    notional (over equity), growth (of log equity since then), fall, liquidations.
    """
    frames = []
    for k, item in enumerate(roll_out_paths(agent, given.market, settings)):
        hour = (item.time - given.begins[k]) // _HOUR
        line = metrics.log_equity(item.equity)[1:]
        at = max(0, int(np.searchsorted(hour, 0, side="right")) - 1)
        own = hour >= -SHOWN
        after = np.arange(len(hour)) >= at
        fall = np.where(
            after, -np.expm1(line - np.maximum.accumulate(np.where(after, line, -9))), 0
        )
        frames.append(
            pd.DataFrame(
                {
                    "shock": given.shocks[k],
                    "place": k,
                    "hour": hour,
                    "notional": -item.state("perp_weight") * given.market.n_assets,
                    "growth": line - line[at],
                    "fall": fall,
                    "liquidations": np.cumsum(np.where(after, item.liquidations, 0)),
                }
            )[own]
        )
    found: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return found


def _settings(args: Args, coins: Market) -> dict[str, Any]:
    return PORTFOLIO | {"cash_rate": args.cash_rate, "venue": coins.venue}


def table(frame: pd.DataFrame) -> Cells:
    """A line for each agent, shock and way: the notional when it comes, a day later and at the end,
    mean over the places; growth, deepest fall and liquidations.
    """
    cells = [["shock", "agent", "", "notional", "a day later", "at the end", "growth, %"]]
    cells[0] += ["deepest fall, %", "liquidations"]
    for (where, shock, agent), own in frame.groupby(["where", "shock", "agent"], sort=False):
        each = own.groupby("place")
        at = [
            own[own["hour"] <= hour].groupby("place")["notional"].last().mean()
            for hour in (0, 24, own["hour"].max())
        ]
        cells.append(
            [
                str(shock),
                str(agent),
                str(where),
                *(f"{value:.2f}" for value in at),
                signed(100 * float(each["growth"].last().mean())),
                f"{100 * float(own['fall'].max()):.2f}",
                f"{int(each['liquidations'].last().sum())} in {len(each)}",
            ]
        )
    return cells


def picture(frame: pd.DataFrame, path: Path) -> None:
    """Notional over equity and growth around each laid shock, mean over the places, PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shocks: Sequence[str] = list(dict.fromkeys(frame["shock"]))
    names = list(dict.fromkeys(frame["agent"]))
    looks = palette(names)
    figure, axes = plt.subplots(
        len(shocks),
        2,
        figsize=(7.0, 2.1 * len(shocks) + 0.8),
        constrained_layout=True,
        sharex=True,
        squeeze=False,
    )
    for row, shock in zip(axes, shocks, strict=True):
        for name in names:
            own = frame[(frame["shock"] == shock) & (frame["agent"] == name)]
            own = own[own["hour"] <= 2 * SHOWN].groupby("hour")[["notional", "growth"]].mean()
            for cell, values in zip(row, (own["notional"], 100 * own["growth"]), strict=True):
                cell.plot(
                    own.index / 24,
                    values,
                    color=looks[name].colour,
                    linestyle=looks[name].line,
                    label=name,
                    drawstyle="steps-post" if cell is row[0] else "default",
                )
        for cell in row:
            cell.axvline(0, color="0.7", linewidth=0.8, zorder=0)
        row[0].set_ylabel(shock)
    axes[0, 0].set_title("notional over equity")
    axes[0, 1].set_title("growth since it began, %")
    for cell in axes[-1]:
        cell.set_xlabel("days since it began")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    write_picture(path, figure, dpi=100, facecolor="white")


if __name__ == "__main__":
    run(Args, main, __doc__)
