"""Trains one agent on the training span and saves it, ready for `agents.load` and for the script
`evaluate`.

The folder --out receives the agent (model, settings of the environment, hash of the market) and
TensorBoard events. Ctrl-C leaves a usable checkpoint; --resume continues. The command adds a line
for the training to trials.csv in the parent folder.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import agents
from agents import Learner
from experiments.benchmarking.training import (
    Progress,
    check_training,
    cost_of,
    done_steps,
    learners,
    prepared,
    say_trained_otherwise,
    train,
)
from experiments.benchmarking.trials import Training
from experiments.core.cli import run
from experiments.core.external_log import Service, installed
from experiments.core.market_args import MARKET_FIXED, MarketArgs, pairs, shown
from experiments.core.provenance import forget_agents, provenance, record_agents
from experiments.core.run_folder import RunError, open_run, write_json
from fundenv.command import called

FIXED = (*MARKET_FIXED, "agent", "params", "seed")


@dataclass(frozen=True, kw_only=True)
class Args(MarketArgs):
    """Command line of the training."""

    agent: str = "ppo"
    """Name of a learner: ppo, sac, portfolio_ppo, portfolio_sac, learned_margin, choice_ppo,
    choice_sac, device_ppo, device_sac, rllib_ppo, rllib_sac or threshold.
    """
    steps: int = 300_000
    """Environment steps in all (the recipe of SAC takes 1.2 million). With --resume and a larger
    number the training continues.
    """
    seed: int = 0
    """Seed of the weights and of the episodes."""
    params: tuple[str, ...] = ()
    """Parameters of the agent, NAME=VALUE, e.g. entropy=0.01: another way to write --ppo.entropy
    0.01 (--agent NAME --help lists them).
    """
    log_to: Service = "none"
    """Also send the scalars of the training to MLflow or Weights & Biases, if it is installed."""
    out: Path | None = None
    """Folder of the run; default: runs/train-<time>."""
    resume: bool = False
    """Continue the run in --out (default: the newest)."""


def main(args: Args) -> None:
    """Train and save."""
    kind = agents.agent_class(args.agent)
    if not issubclass(kind, Learner):
        raise RunError(f"agent {args.agent} does not learn; choose one of {', '.join(learners())}")
    params = pairs(args.params, "--params")
    installed(args.log_to)
    agent = prepared(args.agent, params)
    settings, markets = args.settings(), args.markets()
    if isinstance(agent, Learner):
        check_training(agent, settings, markets["train"])
    out = open_run(
        args.out,
        "train",
        json.loads(json.dumps(dataclasses.asdict(args), default=str)),
        FIXED,
        resume=args.resume,
    )
    if not (out / "provenance.json").exists():
        write_json(out / "provenance.json", provenance(markets))
    forget_agents(out)
    print(
        f"train {shown(markets['train'])}\nout   {out}   (tensorboard --logdir"
        f" {out / 'tensorboard'})",
        flush=True,
    )
    if isinstance(agent, Learner):
        say_trained_otherwise(agent, settings)
    progress = Progress(cost_of(agent, args.steps, done_steps(out)))
    try:
        events = out / "tensorboard" / "learning"
        train(
            args.agent,
            params,
            markets["train"],
            settings,
            steps=args.steps,
            seed=args.seed,
            folder=out,
            events=events,
            progress=progress,
            trial=Training.of(out),
            log_to=args.log_to,
        )
    finally:
        progress.close()
    record_agents(out)
    print(f"trained; evaluate with: {called('evaluate')} --agents {out}")


if __name__ == "__main__":
    run(Args, main, __doc__)
