"""Runs a paper account on live data: an agent trades at the prices of an exchange, with the rules,
costs and margin of the backtest, and without money.

The command downloads the history that the features need, and then decides at every decision
interval until you stop it. You can stop and start it at any time, because the account depends only
on the journal in --out. --check runs a backtest on the journal and compares every bit. The command
sends no order and needs no key.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from agents.base import CHECKPOINT
from agents.checkpoint import fingerprint
from experiments.core.cli import Stopped, deferred, run
from experiments.core.live_args import elsewhere, own_symbols, to_log
from experiments.core.market_args import pairs
from experiments.core.run_folder import RunError, read_json, require_room, write_json
from experiments.evaluate import agent_of, note_differences
from experiments.live.check import check
from experiments.live.drift import Drift, drift, text
from experiments.monitoring.accounts import DRIFT
from experiments.rollout.make import JUDGED
from fundenv.config import EnvConfig
from fundenv.live import QUICK, Limits, LiveFeed, Paper, Plan, Waits
from fundenv.market.download import Rest
from fundenv.market.download.exchange import APIS
from fundenv.market.download.series import DAY_MS
from fundenv.venues import load_venue

LOG = "paper.log"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the paper account."""

    venue: tuple[str, ...] = ("binance",)
    """Exchanges, an account at each: binance, bybit, okx, deribit, hyperliquid, dydx, kraken, or
    the path of a TOML with their rules.
    """
    symbols: tuple[str, ...]
    """Perpetuals, as the venue's file spells them; VENUE:SYMBOL for one venue alone."""
    agent: str
    """Folder of a trained agent, several as one with FOLDER+FOLDER, or the name of a rule."""
    out: Path
    """Folder of the accounts, one below it for each venue."""
    once: bool = False
    """Poll once and end, for cron."""
    check: bool = False
    """Run a backtest on the journal in --out, compare, and end."""
    drift: bool = False
    """Say how fills, half-spreads and funding compare with what the account assumed, and end."""
    band: Path | None = None
    """Run folder of `evaluate` with rollouts of the agent: the band that results should keep."""
    reset: bool = False
    """Lift a permanent stop (drawdown)."""
    joint: bool = False
    """One account over all symbols side by side, instead of one account for each."""
    limits: Limits = field(default_factory=Limits)
    """Limits of each account."""
    params: tuple[str, ...] = ()
    """Parameters of a rule, NAME=VALUE."""
    env: tuple[str, ...] = ()
    """Settings of the environment, NAME=VALUE: another way to write --env.NAME VALUE."""
    cash_rate: float = 0.045
    """Yearly rate of idle cash."""
    spot: tuple[str, ...] = ()
    """Spot pairs of another exchange, SYMBOL=VENUE:PAIR, for a venue without a spot market."""
    step: str = "1h"
    """Length of the bars."""
    warm_up: int = 45
    """Days of history to begin with; the features need 31 days and 90 settlements."""
    poll: float = 20.0
    """Seconds between two polls."""
    lag: float = 15.0
    """Seconds to wait after a close before asking for its bar."""
    hole: float = 2.0
    """Hours to wait for a missing bar when later bars have come, before it counts as halted."""
    gone: float = 6.0
    """Hours to wait for a coin that has no new bars while others do, before the account drops it.
    """
    accept: tuple[str, ...] = ()
    """Findings of the plausibility check to accept, KIND or KIND:SYMBOL."""
    mirror: str = ""
    """Address in place of the exchanges' own."""
    rate: float = 8.0
    """Requests a second to each exchange."""


def main(args: Args) -> None:
    """Open an account at every venue, then look until stopped."""
    if min(args.poll, args.lag) < 0 or min(args.hole, args.gone, args.warm_up, args.rate) <= 0:
        raise RunError("--poll, --lag, --hole, --gone, --warm-up, --rate: give numbers above 0")
    require_room(args.out)
    log = to_log("fundenv.live", args.out / LOG)
    rest = Rest(dataclasses.replace(QUICK, rate=args.rate), args.mirror)
    papers: list[Paper] = []
    try:
        for venue in args.venue:
            papers.append(open_paper(args, venue, LiveFeed(rest), log))
        if args.reset:
            for paper in papers:
                paper.reset()
        if args.check:
            for paper in papers:
                print(check(paper, agent_of(args.agent, pairs(args.params, "--params"))))
            return
        if args.drift:
            for paper in papers:
                print(text(_report(paper, args.band), paper.plan.venue.name))
            return
        _look(args, papers)
    finally:
        for paper in papers:
            paper.close()


def open_paper(args: Args, venue: str, feed: Any, log: logging.Logger) -> Paper:
    """The account at one venue."""
    rules = load_venue(venue)
    if rules.prefix not in APIS:
        raise RunError(f"--venue {venue}: no interface; there is one for {', '.join(APIS)}")
    agent = agent_of(args.agent, pairs(args.params, "--params"))
    if args.params and Path(args.agent).is_dir():
        raise RunError(f"--params: the agent in {args.agent} has its own; leave them out")
    given = {"venue": venue, "cash_rate": args.cash_rate} | pairs(args.env, "--env")
    settings = EnvConfig.from_dict(given | agent.env_settings() | JUDGED).to_dict()
    note_differences(agent, given)
    plan = Plan(
        venue=rules,
        symbols=own_symbols(args.symbols, rules.prefix),
        agent=_described(args),
        settings=json.loads(json.dumps(settings)),
        step=args.step,
        shared=args.joint,
        asked=elsewhere(args.spot, args.symbols),
        warm_up_days=args.warm_up,
        accept=args.accept,
    )
    waits = Waits(
        lag=round(args.lag * 1000),
        hole=round(args.hole * 3_600_000),
        gone=round(args.gone * 3_600_000),
    )
    return Paper(plan, args.out / rules.prefix, feed, agent, args.limits, waits, log)


def _look(args: Args, papers: Sequence[Paper]) -> None:
    with deferred() as interrupt:
        while True:
            for paper in papers:
                paper.look()
                _once_a_day(paper, args.band)
            if args.once:
                _show(papers)
                return
            until = time.monotonic() + args.poll
            while time.monotonic() < until and not interrupt.requested:
                time.sleep(min(0.2, args.poll))
            if interrupt.requested:
                _show(papers)
                raise Stopped("stopped; the same command goes on from here")


def _report(paper: Paper, band: Path | None) -> Drift:
    """The drift report of an account, which is also written beside its state."""
    if paper.begin is None or paper.tables.closed is None:
        raise RunError(f"{paper.folder}: no bar is sealed yet; run the account first")
    if paper.account.standing is None:  # a process that has not looked
        whole, market = paper.market()
        paper.account.catch_up(whole, market, paper.tables.closed, 0)
    report = drift(paper, band)
    write_json(paper.folder / DRIFT, report.record() | {"closed": paper.tables.closed})
    return report


def _once_a_day(paper: Paper, band: Path | None) -> None:
    """Write the report after the first bar of each day; alarms go to the log."""
    closed, path = paper.tables.closed, paper.folder / DRIFT
    if closed is None or not paper.account.steps or paper.refused:
        return
    known = read_json(path)["closed"] if path.exists() else 0
    if closed // DAY_MS > known // DAY_MS:
        for alarm in _report(paper, band).alarms:
            paper.log.warning("drift  %s", alarm)


def _show(papers: Sequence[Paper]) -> None:
    """A line for each account."""
    for paper in papers:
        state = json.loads((paper.folder / "state.json").read_text())
        for line in state["waiting"]:
            print(f"{state['venue']:<12}{line}")
        if not state["accounts"] and state["begin"]:
            when = pd.Timestamp(state["begin"], unit="ms")
            print(f"{state['venue']:<12}first decision at {when:%Y-%m-%d %H:%M} UTC")
        for own in state["accounts"]:
            name = "+".join(own["symbols"])
            held = ", ".join(f"{leg['perp']:+g} perp" for leg in own["legs"].values())
            when = pd.Timestamp(state["closed"], unit="ms")
            print(
                f"{state['venue']:<12}{name:<12}{when:%Y-%m-%d %H:%M}  {own['equity']:,.2f}  {held}"
            )


def _described(args: Args) -> str:
    """The agent as the journal knows it: a folder by its fingerprint, for it may be moved."""
    if (Path(args.agent) / CHECKPOINT).is_file():
        return f"{Path(args.agent).name} {fingerprint(args.agent)}"
    return " ".join([args.agent, *sorted(args.params)])


if __name__ == "__main__":
    run(Args, main, __doc__)
