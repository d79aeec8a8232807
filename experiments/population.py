"""Population-based training on Ray Tune: several learners train in parallel; the worst ones copy
the best ones and continue with changed settings.

The objective is growth on the last fifth of the training span, on which no learner trains; the
search never uses the test span. It writes the best agent to --out/best, ready for `evaluate`.
--address auto uses a running Ray cluster. --resume continues an interrupted search.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import agents
from agents import AgentError, Learner
from experiments.benchmarking.training import (
    check_training,
    prepared,
    say_trained_otherwise,
)
from experiments.core.cli import run
from experiments.core.market_args import EMBARGO, MARKET_FIXED, MarketArgs, pairs, shown
from experiments.core.provenance import provenance
from experiments.core.run_folder import RunError, open_run, write_json
from experiments.rollout.make import roll_out, say_overruled
from fundenv.command import called
from fundenv.market import split

FIXED = (*MARKET_FIXED, "agent", "params", "population", "rounds", "steps")
KEPT_OUT = 0.2  # share of the training span that judges the population
SCORE, STEPS = "validation_growth", "steps"
VARIED: dict[str, tuple[float, float]] = {  # parameter -> lowest and highest, drawn on a log scale
    "learning_rate": (3e-4, 1e-2), "entropy": (5e-4, 2e-2), "gae_lambda": (0.8, 0.99),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the search."""

    agent: str = "rllib_ppo"
    """A learner of RLlib."""
    population: int = 4
    """Learners side by side, one CPU each."""
    rounds: int = 8
    """Number of evaluations of the population."""
    steps: int = 50_000
    """Environment steps of each learner between two evaluations."""
    params: tuple[str, ...] = ()
    """Parameters that stay fixed, NAME=VALUE."""
    address: str = ""
    """Address of a running Ray cluster, e.g. auto; empty: RAY_ADDRESS, or a Ray started here."""
    out: Path | None = None
    """Folder of the run; default: runs/population-<time>."""
    resume: bool = False
    """Continue the run in --out (default: the newest)."""


def main(args: Args) -> None:
    """Search, keep the best, show the population."""
    if args.population < 2 or args.rounds < 1 or args.steps < 1:
        raise RunError(
            f"--population {args.population} --rounds {args.rounds} --steps {args.steps}: expected"
            " at least 2, 1 and 1"
        )
    params = pairs(args.params, "--params")
    agent = prepared(args.agent, params)
    if not isinstance(agent, Learner) or not args.agent.startswith("rllib_"):
        raise RunError(
            f"--agent {args.agent}: population-based training takes rllib_ppo or rllib_sac"
        )
    settings, markets = args.settings(), args.markets()
    parts = divide(markets["train"])
    check_training(agent, settings, parts["learn"])
    out = open_run(
        args.out,
        "population",
        json.loads(json.dumps(dataclasses.asdict(args), default=str)),
        FIXED,
        resume=args.resume,
    )
    write_json(out / "provenance.json", provenance(markets | parts))
    say_trained_otherwise(agent, settings)
    say_overruled(settings, [agent])
    print(
        f"learns on {shown(parts['learn'])}\njudged on {shown(parts['judge'])}\nout       {out}",
        flush=True,
    )
    results = search(args, params, parts, settings, out.resolve())
    best = results.get_best_result(SCORE, "max")
    with best.checkpoint.as_directory() as folder:
        agents.load(folder).save(out / "best")
    table = results.get_dataframe().sort_values(SCORE, ascending=False)
    columns = [SCORE, STEPS, *(column for column in table if column.startswith("config/"))]
    write_json(out / "population.json", json.loads(table[columns].to_json(orient="records")))
    print(table[columns].to_string(index=False))
    print(
        f"best agent: {out / 'best'}; judge it once with: {called('evaluate')} --agents"
        f" {out / 'best'}"
    )


def divide(market: Any) -> dict[str, Any]:
    """`learn` and `judge`: the training span cut at four fifths, with an embargo."""
    first, last = (
        pd.Timestamp(int(edge), tz="UTC") for edge in (market.close_ns.min(), market.close_ns.max())
    )
    cut = (first + (1 - KEPT_OUT) * (last - first)).floor("D")
    return split(
        market, {"learn": (first, cut), "judge": (cut, last + pd.Timedelta("1D"))}, embargo=EMBARGO
    )


def search(
    args: Args, params: dict[str, Any], parts: dict[str, Any], settings: dict[str, Any], out: Path
) -> Any:
    """Ray Tune's results of the whole population."""
    try:
        import ray
        from ray import tune
    except ImportError as error:
        raise AgentError(
            f"the script population needs Ray's Tune ({error}); install it with: pip install"
            " 'fundenv[rllib]'"
        ) from None
    from agents.rllib.runner import start
    from fundenv.envs.rllib import share

    varied = _varied(args.agent, params)
    begun = start(args.address, args.population - 1, 400_000_000)
    try:
        fixed = {
            "agent": args.agent,
            "params": params,
            "settings": settings,
            "steps": args.steps,
            "rounds": args.rounds,
        }
        shared = {name: share(part) for name, part in parts.items()}
        trainable = tune.with_resources(
            tune.with_parameters(member, shared=shared, fixed=fixed), {"cpu": 1}
        )
        return _tuner(args, trainable, varied, out).fit()
    finally:
        if begun:
            ray.shutdown()


def _varied(agent: str, params: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """The parameters of the agent that the search changes, and their ends."""
    known = {field.name for field in dataclasses.fields(agents.agent_class(agent).parameters)}
    free = {name: ends for name, ends in VARIED.items() if name in known and name not in params}
    if not free:
        raise RunError(f"--params fixes all that is varied ({', '.join(VARIED)}); leave one free")
    return free


def _tuner(args: Args, trainable: Any, varied: dict[str, tuple[float, float]], out: Path) -> Any:
    """A new search, or that in `out` where it goes on."""
    from ray import tune
    from ray.tune.schedulers import PopulationBasedTraining

    storage = out / "tune"
    if args.resume and tune.Tuner.can_restore(str(storage)):
        return tune.Tuner.restore(
            str(storage), trainable, resume_unfinished=True, restart_errored=True
        )
    space = {name: tune.loguniform(*ends) for name, ends in varied.items()}
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        metric=SCORE,
        mode="max",
        perturbation_interval=1,
        hyperparam_mutations=space,
        quantile_fraction=0.25,
        custom_explore_fn=within,
    )
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(scheduler=scheduler, num_samples=args.population),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(out),
            failure_config=tune.FailureConfig(max_failures=3),
        ),
    )


def within(config: dict[str, Any]) -> dict[str, Any]:
    """Settings clipped to their ranges, after the search has changed them."""
    return {
        name: min(max(value, VARIED[name][0]), VARIED[name][1]) for name, value in config.items()
    }


def member(config: dict[str, Any], shared: dict[str, Any], fixed: dict[str, Any]) -> None:
    """One learner of the population: it trains, is evaluated, reports with a checkpoint, and
    repeats.
    """
    from ray import tune

    from fundenv.envs.rllib import fetch

    parts = {name: fetch(market) for name, market in shared.items()}
    total = fixed["steps"] * fixed["rounds"]
    params = {"runners": 0, "decay_steps": total} | fixed["params"] | config
    agent: Any = agents.make(fixed["agent"], **params)
    before = tune.get_checkpoint()
    if before is not None:  # its own after an interruption, or that of a better one
        with before.as_directory() as folder:
            loaded: Any = agents.load(folder)
        agent.provenance, agent.module, agent.state, agent.steps_done = (
            loaded.provenance,
            loaded.module,
            loaded.state,
            loaded.steps_done,
        )
    while agent.steps_done < total:
        agent.learn(
            parts["learn"],
            fixed["settings"],
            steps=min(total, agent.steps_done + fixed["steps"]),
            seed=0,
        )
        rollouts = roll_out(agent, parts["judge"], fixed["settings"])
        growth = sum(item.metrics().net_log_growth for item in rollouts) / len(rollouts)
        with tempfile.TemporaryDirectory() as folder:
            agent.save(folder)
            tune.report(
                {SCORE: growth, STEPS: agent.steps_done},
                checkpoint=tune.Checkpoint.from_directory(folder),
            )


if __name__ == "__main__":
    run(Args, main, __doc__)
