"""Trains one learner in a folder of its own: progress, TensorBoard, checkpoints, Ctrl-C, resume."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

import agents
from agents.base import CHECKPOINT, Agent, Learner
from experiments.benchmarking.trials import Training
from experiments.core.cli import Interrupt, Stopped, deferred
from experiments.core.external_log import Log, Service, external_log
from experiments.core.pool import Reporter
from experiments.core.provenance import commit
from experiments.core.run_folder import RunError, read_json
from experiments.rollout.make import overruled
from experiments.tensorboard.cards import action_names
from experiments.tensorboard.writer import NET_GROWTH, POINTS, TRAINING, Tracker, TrainingWindow
from fundenv.batch.cpu import Batch
from fundenv.config import hours

SAVE_SECONDS = 60.0  # between checkpoints


class Progress:
    """One bar over all trainings of a command, weighted by what a step of each learner costs."""

    def __init__(self, total: float) -> None:
        self._bar = tqdm(
            total=total,
            bar_format="{desc} {percentage:3.0f}% |{bar:30}| {elapsed} < {remaining}{postfix}",
            smoothing=0,  # estimates the time left from the mean speed
            mininterval=0.2 if sys.stderr.isatty() else 20.0,  # a log file needs no more
        )

    def at(self, title: str) -> None:
        """Show the name of the training that runs."""
        self._bar.set_description_str(title)

    def add(self, cost: float, note: str | None = None) -> None:
        """Count `cost` as done."""
        if note is not None:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(cost)

    def close(self) -> None:
        """Stop updating the bar."""
        self._bar.close()


def cost_of(agent: Any, steps: int, done: int) -> float:
    """The share of a training in the progress bar: `steps` steps, of which `done` are made, and the
    warm start before the first step.
    """
    rounds, each = agent.warm_start() if done == 0 else (0, 0.0)
    return float(agent.step_cost * (max(0, steps - done) + rounds * each))


class Learning:
    """Watches one training: the `TrainingCallback` of `agents.base`."""

    def __init__(
        self,
        agent: Learner,
        folder: Path,
        tracker: Tracker,
        progress: Reporter,
        interrupt: Interrupt,
        steps: int,
        log: Log,
    ) -> None:
        self.agent, self.folder, self.tracker, self.progress, self.interrupt = (
            agent,
            folder,
            tracker,
            progress,
            interrupt,
        )
        self.log = log
        self.every = max(1, steps // POINTS)
        self.wanted = steps
        self.last = self.logged = agent.steps_done
        self.saved = self.begun = time.monotonic()
        self.first = agent.steps_done
        self.window: TrainingWindow | None = None
        self.warm = agent.warm_start()[0]  # remaining rounds of the warm start

    def step(self, steps: int, batch: Any) -> bool:
        """Count the steps; log and save at intervals. False after Ctrl-C."""
        if self.window is None:
            self.window = TrainingWindow(batch)
        self.window.add(batch)
        counted = min(steps, self.wanted)  # the last rollout may go beyond
        self.progress.add((counted - self.last) * self.agent.step_cost)
        self.last = counted
        if steps - self.logged >= self.every:
            self._log(steps, batch)
        if time.monotonic() - self.saved > SAVE_SECONDS:
            self.agent.save(self.folder)
            self.saved = time.monotonic()
        return not self.interrupt.requested

    def update(self, steps: int, scalars: dict[str, float]) -> bool:
        """Write the learner's own diagnostics. False after Ctrl-C."""
        self._write(steps, {f"Learner/{key}": value for key, value in scalars.items()})
        if steps == 0 and self.warm > 0:
            self.warm -= 1
            rounds, each = self.agent.warm_start()
            self.progress.add(
                each * self.agent.step_cost, f"warm start, round {rounds - self.warm} of {rounds}"
            )
        return not self.interrupt.requested

    def _write(self, steps: int, values: dict[str, float]) -> None:
        self.tracker.write(steps, values)
        self.log.write(steps, values)

    def _log(self, steps: int, batch: Any) -> None:
        assert self.window is not None
        step_hours = hours(batch.config.decision_interval, "decision_interval")
        values = self.window.scalars(step_hours=step_hours, cash_rate=batch.config.cash_rate)
        speed = (steps - self.first) / max(1e-9, time.monotonic() - self.begun)
        self._write(steps, values | {"Learner/steps_per_second": speed})
        growth = 100 * values[f"{TRAINING}{NET_GROWTH}"]
        for k, name in enumerate(action_names(self.agent, batch.actions.shape[1])):
            self.tracker.histogram(steps, f"{TRAINING}Action/{name}", batch.actions[:, k])
        self.progress.add(0, f"{speed:,.0f} steps/s, growth {growth:+.1f} %/year")
        self.window.clear()
        self.logged = steps


def done_steps(folder: Path) -> int:
    """Training steps of the checkpoint in `folder`; 0 where there is none."""
    path = folder / CHECKPOINT
    return int(read_json(path).get("steps_done", 0)) if path.is_file() else 0


def train(
    name: str,
    params: dict[str, Any],
    market: Any,
    settings: dict[str, Any],
    *,
    steps: int,
    seed: int,
    folder: Path,
    events: Path,
    progress: Reporter,
    trial: Training,
    log_to: Service = "none",
) -> Learner:
    """The agent after `steps` steps, from the checkpoint in `folder` where there is one. The folder
    always holds the newest checkpoint. The log of `trial` gets its line when the training starts.

    Raises `Stopped` after Ctrl-C, with the checkpoint written.
    """
    agent = agents.load(folder) if done_steps(folder) else agents.make(name, **params)
    if not isinstance(agent, Learner):
        raise RunError(
            f"agent {name} does not learn; evaluate it as it is, or choose one of"
            f" {', '.join(learners())}"
        )
    if agent.provenance.market not in ("", market.hash):
        raise RunError(
            f"{folder} was trained on market {agent.provenance.market}, this one is {market.hash};"
            " use the same data, or another --out"
        )
    trial.start(name, agent.params.to_dict(), steps=steps, seed=seed, market=market.hash)
    progress.at(f"{name}, seed {seed}")
    facts = {"agent": name, "seed": seed, "steps": steps, "market": market.hash, "commit": commit()}
    log = external_log(log_to, folder.name, agent.params.to_dict(), facts)
    with deferred() as interrupt, Tracker(events) as tracker, log as opened:
        agent.learn(
            market,
            settings,
            steps=steps,
            seed=seed,
            callback=Learning(agent, folder, tracker, progress, interrupt, steps, opened),
        )
        agent.save(folder)
    if agent.verdict is not None:
        print(f"{name}, seed {seed}: {agent.verdict}", flush=True)
    if agent.steps_done == 0 < agent.warm_start()[0]:
        raise Stopped(
            f"interrupted in the warm start of {name}, before its first step; --resume begins it"
            " anew"
        )
    if agent.steps_done < steps:
        raise Stopped(
            f"interrupted after {agent.steps_done:,} of {steps:,} steps of {name}; the checkpoint"
            f" is in {folder}, go on with --resume"
        )
    return agent


def prepared(name: str, params: dict[str, Any]) -> Agent:
    """The agent, made so that a wrong parameter, a missing library or a missing device is reported
    before anything is written.
    """
    agent = agents.make(name, **params)
    if isinstance(agent, Learner):
        agent.require()
    return agent


def check_training(agent: Learner, settings: dict[str, Any], *markets: Any) -> None:
    """Raise the errors that the training of `agent` on `markets` would raise when its envs are
    made, as for an own reward that is not found, or settings that do not fit the data.
    """
    own = settings | agent.training_settings() | agent.env_settings()
    for market in markets:
        Batch(1, market=market, **own)


def say_trained_otherwise(agent: Learner, settings: dict[str, Any]) -> None:
    """Print which of the env `settings` the training of `agent` replaces by its own values."""
    own = agent.training_settings() | agent.env_settings()
    for line in overruled(settings, own, f"{agent.name} trains with"):
        print(f"{line}; set it by the agent's parameters", flush=True)


def learners() -> list[str]:
    """Names of the agents that learn."""
    return [name for name in agents.names() if issubclass(agents.agent_class(name), Learner)]
