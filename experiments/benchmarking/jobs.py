"""One entry of the benchmark: an agent with one seed, trained where it learns, evaluated at every
cash rate and cost of the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import agents
from agents import Agent, Learner
from agents.base import CHECKPOINT
from agents.sb3.ensemble import joined
from experiments.analysis.compare import FINAL
from experiments.analysis.tables import Row
from experiments.benchmarking.evaluation import daily_returns, keep, tidy_rows
from experiments.benchmarking.stress import STRESS, Scenarios, run_scenarios
from experiments.benchmarking.training import cost_of, done_steps, train
from experiments.benchmarking.trials import Training, daily_sharpe
from experiments.core.pool import Reporter
from experiments.core.run_folder import RunError, read_json, write_frame, write_json
from experiments.rollout.make import roll_out_terms
from experiments.rollout.rollout import Rollout
from fundenv.config import EnvConfig, hours

Terms = tuple[float, float]  # cash rate, factor on costs
COSTS = (1.0, 2.0)  # factors on fees, half-spread and impact
PARTS, DAILY = "parts", "daily"  # folders in a run folder
WALK_COST = 2.5  # time of one decision of a rollout, in steps of PPO's training


@dataclass(frozen=True, kw_only=True)
class Job:
    """One agent, one candidate, one fold, one seed."""

    agent: str
    seed: int = 0
    fold: int = FINAL
    candidate: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    steps: int = 0  # environment steps of the training; 0 for rules
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
class JobContext:
    """The data that all jobs share; sent to the workers."""

    markets: dict[str, Any]  # train, test, and fold<k>-train, fold<k>-validation
    settings: dict[str, Any]
    cash_rates: tuple[float, ...]
    out: Path
    stress: Scenarios | None = None  # of the test market

    @property
    def base(self) -> Terms:
        """The terms of the run itself: its own cash rate, and costs times 1."""
        return self.settings["cash_rate"], 1.0

    def rollouts(
        self, agent: Agent, market: str, seed: int, terms: Sequence[Terms]
    ) -> list[list[Rollout]]:
        """Rollouts on one of the markets, at each of the terms."""
        at = [
            {
                "cash_rate": cash_rate,
                "fee_scale": cost * self.settings.get("fee_scale", 1.0),
                "cost_scale": cost * self.settings.get("cost_scale", 1.0),
            }
            for cash_rate, cost in terms
        ]
        return roll_out_terms(agent, self.markets[market], self.settings, at, seed)

    def walk_cost(self, market: Any) -> float:
        """The share of a rollout on `market` in the progress bar; its paths run side by side."""
        step = hours(EnvConfig.from_dict(self.settings).decision_interval, "decision_interval")
        return WALK_COST * float(np.diff(market.paths).max() * market.bar_hours / step)

    def judging_cost(self, job: Job) -> float:
        """The share of all rollouts of a job in the progress bar."""
        walked = [self.markets[self.spans(job)[1]]] * len(self.terms(job))
        if job.fold == FINAL:
            walked += [self.markets["train"], *([self.stress.market] if self.stress else [])]
        return sum(map(self.walk_cost, walked))

    def left(self, job: Job) -> float:
        """What a job still counts in the progress bar."""
        judged = self.judging_cost(job)
        if not job.steps:
            return judged
        done = done_steps(self.out / "agents" / job.key)
        return judged + cost_of(agents.make(job.agent, **job.params), job.steps, done)

    def terms(self, job: Job) -> list[Terms]:
        """Every cash rate and cost of the comparison, and those of the run: each once."""
        costs = COSTS if job.fold == FINAL else COSTS[:1]
        wanted = [(rate, cost) for rate in self.cash_rates for cost in costs]
        return wanted if job.fold != FINAL or self.base in wanted else [*wanted, self.base]

    def done(self, job: Job) -> bool:
        """Whether the job's results exist; for an ensemble, with the same number of members."""
        if not (self.out / PARTS / f"{job.key}.json").exists():
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
        """Names of the training market and of the market of the evaluation."""
        return (
            ("train", "test")
            if job.fold == FINAL
            else (f"fold{job.fold}-train", f"fold{job.fold}-validation")
        )


def do(job: Job, context: JobContext, reporter: Reporter) -> None:
    """Train the agent or join the members, evaluate, write: `parts/<key>.json` {"rows", "tidy",
    `daily/<key>.parquet` and `stress/<key>.parquet`.
    """
    learned, judged = context.spans(job)
    if job.steps:
        folder, events = (
            context.out / "agents" / job.key,
            context.out / "tensorboard" / "learning" / job.key,
        )
        agent: Any = train(
            job.agent,
            job.params,
            context.markets[learned],
            context.settings,
            steps=job.steps,
            seed=job.seed,
            folder=folder,
            events=events,
            progress=reporter,
            trial=Training.of(context.out, job.key),
        )
    elif job.members:
        agent = joined([context.out / "agents" / key for key in job.members])
        agent.save(context.out / "agents" / job.key)
    else:
        agent = agents.make(job.agent, **job.params)
    reporter.at(f"{job.key}, evaluation")
    rows: list[Row] = []

    def walk(market: str, terms: Sequence[Terms]) -> list[list[Rollout]]:
        walked = context.rollouts(agent, market, job.seed, terms)
        reporter.add(len(terms) * context.walk_cost(context.markets[market]))
        return walked

    terms = context.terms(job)
    made = dict(zip(terms, walk(judged, terms), strict=True))
    if job.fold == FINAL:
        base = {"train": walk("train", [context.base])[0], "test": made[context.base]}
        for split, rollouts in base.items():
            rows += keep(
                rollouts,
                agent,
                context.markets[split],
                context.settings,
                split=split,
                out=context.out,
                events=split == "test",
            )
    tidy, daily = _judged(made, job, context, judged)
    if job.steps and job.fold == FINAL:
        Training.of(context.out, job.key).finish(daily_sharpe(daily))
    if job.fold == FINAL and context.stress is not None:
        frame = run_scenarios(agent, context.stress, context.settings).assign(
            agent=job.agent, seed=job.seed
        )
        reporter.add(context.walk_cost(context.stress.market))
        write_frame(context.out / STRESS / f"{job.key}.parquet", frame)
    write_frame(context.out / DAILY / f"{job.key}.parquet", daily)
    params = agent.params.to_dict()
    write_json(
        context.out / PARTS / f"{job.key}.json", {"rows": rows, "tidy": tidy, "params": params}
    )


def _judged(
    made: dict[Terms, list[Rollout]], job: Job, context: JobContext, span: str
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Figures of every symbol at every cash rate and cost of the comparison, and daily returns at
    costs times 1.
    """
    head: dict[str, Any] = {
        "agent": job.agent,
        "candidate": job.candidate,
        "fold": job.fold,
        "span": span,
        "seed": job.seed,
    }
    terms = {key: own for key, own in made.items() if key[0] in context.cash_rates}
    tidy = [line for (_, cost), own in terms.items() for line in tidy_rows(own, head, cost=cost)]
    daily = [daily_returns(own, head) for (_, cost), own in terms.items() if cost == 1.0]
    return tidy, pd.concat(daily, ignore_index=True)


def learns(name: str) -> bool:
    """Whether an agent is a learner or an ensemble of learners."""
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


def rows_of(parts: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The tidy rows of all parts."""
    return pd.DataFrame([line for part in parts for line in part["tidy"]])
