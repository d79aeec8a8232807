"""The plan of a benchmark: which agents run with which parameters, as jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import agents
from experiments.benchmarking.jobs import Job, learns, trained_for, trains
from experiments.benchmarking.training import prepared
from experiments.calibration import parameter_file as calibrated
from experiments.core.market_args import pairs
from experiments.core.preset import Candidate, Preset
from experiments.core.run_folder import RunError


def params_of(
    names: tuple[str, ...], preset: Preset, params: tuple[str, ...], file: Path | None
) -> dict[str, dict[str, Any]]:
    """Parameters by agent, of `params` (AGENT.NAME=VALUE), the `file` of calibrated ones and the
    preset, in this order of precedence. Every agent is made once, so that a wrong parameter is
    reported before anything runs.
    """
    by_agent = {name: dict(values) for name, values in preset.rules.items() if name in names}
    for name, values in (calibrated.read(file) if file else {}).items():
        by_agent[name] = by_agent.get(name, {}) | values
    for name, value in pairs(params, "--params").items():
        agent, dot, field = name.partition(".")
        if not dot or agent not in names:
            raise RunError(
                f"--params {name}: expected AGENT.NAME=VALUE with an agent of this run"
                f" ({', '.join(names)})"
            )
        by_agent.setdefault(agent, {})[field] = value
    for name, values in by_agent.items():
        by_agent[name] = agents.agent_class(name).parameters.renamed(values)
    for name in names:
        prepared(name, by_agent.get(name, {}))
        if learns(name) and not trains(name):
            trained_for(name, names)
    return by_agent


def candidates_of(
    name: str, preset: Preset, given: dict[str, Any], steps: int | None
) -> list[Candidate]:
    """The candidates of a learner; parameters of the command line replace those of the preset."""
    listed = preset.candidates.get(name, [])
    kind: Any = agents.agent_class(name)
    if not listed and steps is None and kind.counts_steps:
        raise RunError(f"the preset has no table [{name}]; add one with its steps, or give --steps")
    base = listed or [Candidate(agent=name, steps=steps or 1, params={})]
    found = [
        Candidate(agent=name, steps=steps or each.steps, params=each.params | given)
        for each in base
    ]
    for each in found:
        prepared(name, each.params)
    return found


def training(candidate: Candidate, number: int, fold: int, seed: int) -> Job:
    """The job of one training of a candidate."""
    cost = agents.agent_class(candidate.agent).step_cost  # type: ignore[attr-defined]
    return Job(
        agent=candidate.agent,
        seed=seed,
        fold=fold,
        candidate=number,
        params=candidate.params,
        steps=candidate.steps,
        cost=cost,
    )


def ensembles(names: tuple[str, ...], done: list[Job]) -> list[Job]:
    """For every ensemble among `names` a job that joins all seeds of its learner, in the final and
    in each fold.
    """
    groups: dict[tuple[str, int, int], list[str]] = {}
    for job in done:
        if job.steps:
            groups.setdefault((job.agent, job.fold, job.candidate), []).append(job.key)
    wanted = {name: trained_for(name, names) for name in names if learns(name) and not trains(name)}
    return [
        Job(agent=name, fold=fold, candidate=candidate, members=tuple(keys))
        for name, learner in wanted.items()
        for (agent, fold, candidate), keys in groups.items()
        if agent == learner
    ]
