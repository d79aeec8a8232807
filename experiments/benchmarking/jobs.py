"""One entry of the benchmark: an agent with one seed, trained where it learns, judged under every
term of the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

import agents
from agents import Agent, Learner
from agents.base import CHECKPOINT
from agents.sb3.ensemble import joined
from experiments.analysis.tables import Row
from experiments.benchmarking.evaluation import assess
from experiments.benchmarking.stress import STRESS, Scenarios, endure
from experiments.benchmarking.training import train
from experiments.benchmarking.trials import Training, daily_sharpe
from experiments.core.pool import Reporter
from experiments.core.run_folder import RunError, read_json, write_frame, write_json
from experiments.rollout.rollout import Walk, walk
from fundenv import metrics

FINAL = -1  # fold number of the training on the whole training span, judged on the test span
COSTS = (1.0, 2.0)  # factors on fees, half-spread and impact


@dataclass(frozen=True, kw_only=True)
class Job:
    """One agent, one candidate, one fold, one seed."""

    agent: str
    seed: int = 0
    fold: int = FINAL
    candidate: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    steps: int = 0  # of training; 0 for rules
    cost: float = 0.0  # relative time of a step
    members: tuple[str, ...] = ()  # of an ensemble: keys of the jobs whose agents decide together

    @property
    def key(self) -> str:
        """Name of its files."""
        where = (
            ""
            if self.fold == FINAL
            else (
                f"fold{self.fold}-candidate{self.candidate}-"
                if self.steps or self.members
                else f"fold{self.fold}-"
            )
        )
        return f"{where}{self.agent}-{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What all jobs share; goes to the workers."""

    markets: dict[str, Any]  # train, test, and fold<k>-train, fold<k>-validation
    settings: dict[str, Any]
    cash_rates: tuple[float, ...]
    out: Path
    stress: Scenarios | None = None  # of the test market

    def done(self, job: Job) -> bool:
        """Whether its results are there; those of an ensemble with as many members."""
        if not (self.out / "parts" / f"{job.key}.json").exists():
            return False
        if (
            job.fold == FINAL
            and self.stress is not None
            and not (self.out / STRESS / f"{job.key}.parquet").exists()
        ):
            return False
        saved = self.out / "agents" / job.key / CHECKPOINT
        return not job.members or (
            saved.exists() and read_json(saved)["members"] == len(job.members)
        )

    def spans(self, job: Job) -> tuple[str, str]:
        """Names of the markets to learn on and to be judged on."""
        return (
            ("train", "test")
            if job.fold == FINAL
            else (f"fold{job.fold}-train", f"fold{job.fold}-validation")
        )


def do(job: Job, contest: Contest, reporter: Reporter) -> None:
    """Train or join where needed, judge, keep the rows: `parts/<key>.json` {"rows", "tidy"},
    `daily/<key>.parquet` and `stress/<key>.parquet`.
    """
    learned, judged = contest.spans(job)
    if job.steps:
        folder, events = (
            contest.out / "agents" / job.key,
            contest.out / "tensorboard" / "learning" / job.key,
        )
        agent: Any = train(
            job.agent,
            job.params,
            contest.markets[learned],
            contest.settings,
            steps=job.steps,
            seed=job.seed,
            folder=folder,
            events=events,
            progress=reporter,
            trial=Training.of(contest.out, job.key),
        )
    elif job.members:
        agent = joined([contest.out / "agents" / key for key in job.members])
        agent.save(contest.out / "agents" / job.key)
    else:
        agent = agents.make(job.agent, **job.params)
    reporter.at(f"{job.key}, evaluation")
    rows: list[Row] = []
    if job.fold == FINAL:
        for split in ("train", "test"):
            rows += assess(
                agent,
                contest.markets[split],
                contest.settings,
                seed=job.seed,
                split=split,
                out=contest.out,
                events=split == "test",
            )
    tidy, daily = judge(agent, job, contest, judged)
    if job.steps and job.fold == FINAL:
        Training.of(contest.out, job.key).finish(daily_sharpe(pd.concat(daily)))
    if job.fold == FINAL and contest.stress is not None:
        frame = endure(agent, contest.stress, contest.settings).assign(
            agent=job.agent, seed=job.seed
        )
        write_frame(contest.out / STRESS / f"{job.key}.parquet", frame)
    write_frame(contest.out / "daily" / f"{job.key}.parquet", pd.concat(daily, ignore_index=True))
    write_json(contest.out / "parts" / f"{job.key}.json", {"rows": rows, "tidy": tidy})


def judge(
    agent: Agent, job: Job, contest: Contest, market: str
) -> tuple[list[dict[str, Any]], list[pd.DataFrame]]:
    """Figures of every symbol at every cash rate and cost, and daily returns net of the cash rate
    at single cost.
    """
    tidy, daily = [], []
    head: dict[str, Any] = {
        "agent": job.agent,
        "candidate": job.candidate,
        "fold": job.fold,
        "span": market,
        "seed": job.seed,
    }
    for cash_rate in contest.cash_rates:
        for cost in COSTS if job.fold == FINAL else COSTS[:1]:
            for item in walk(
                agent,
                contest.markets[market],
                contest.settings | _terms(contest.settings, cash_rate, cost),
            ):
                figures = asdict(item.metrics(cash_rate))
                parts = figures.pop("parts")
                tidy.append(
                    head
                    | {"symbol": item.symbol, "cash_rate": cash_rate, "cost": cost}
                    | figures
                    | parts
                )
                if cost == 1.0:
                    daily.append(
                        _daily(item, cash_rate).assign(
                            **head, symbol=item.symbol, cash_rate=cash_rate
                        )
                    )
    return tidy, daily


def _terms(settings: dict[str, Any], cash_rate: float, cost: float) -> dict[str, float]:
    return {
        "cash_rate": cash_rate,
        "fee_scale": cost * settings.get("fee_scale", 1.0),
        "cost_scale": cost * settings.get("cost_scale", 1.0),
    }


def _daily(item: Walk, cash_rate: float) -> pd.DataFrame:
    returns = metrics.daily_net_log_returns(
        item.equity, step_hours=item.step_hours, cash_rate=cash_rate
    )
    stride = max(1, round(24 / item.step_hours))
    ends = item.time[stride - 1 :: stride][: len(returns)]
    if len(ends) < len(returns):  # a span shorter than a day
        ends = item.time[-1:]
    return pd.DataFrame({"time": pd.to_datetime(ends, utc=True), "net": returns})


def learns(name: str) -> bool:
    """Whether an agent has learned: a learner or an ensemble of some."""
    return agents.agent_class(name).learns


def trains(name: str) -> bool:
    """Whether an agent has to be trained."""
    return issubclass(agents.agent_class(name), Learner)


def trained_for(name: str, learners: Sequence[str]) -> str:
    """Which of `learners` the members of the ensemble `name` are; `RunError` where it is not
    exactly one.
    """
    kind: Any = agents.agent_class(name)
    fit = [learner for learner in learners if issubclass(agents.agent_class(learner), kind.of)]
    if len(fit) != 1:
        raise RunError(
            f"agent {name} joins the seeds of one learner such as {kind.of.name}, and {len(fit)} of"
            " --agents fit; name exactly one"
        )
    return fit[0]
