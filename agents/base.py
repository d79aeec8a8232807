"""What an agent is, and how it is written to a folder."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.checkpoint import CHECKPOINT as CHECKPOINT
from agents.checkpoint import write_agent
from agents.params import AgentError, Params, nearest
from agents.reasons import WORDS


class Observed(NamedTuple):
    """One raw observation of every asset: column numbers (A,) and scales (A,)."""

    at: NDArray[np.int64]
    scale: NDArray[np.float32]

    def of(self, obs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw values (n, A) in the unit of the observation table, from observations (n, D)."""
        if len(self.at) == 1:  # a column is quicker read than a list of one
            return obs[:, self.at[0] : self.at[0] + 1] * self.scale
        return obs[:, self.at] * self.scale


def batch_of(env: Any) -> Any:
    """The batch behind an environment, a vector environment or a `VecEnv`; a batch is returned as
    it is.
    """
    inner = getattr(env, "unwrapped", env)
    return getattr(inner, "batch", inner)


def observed(table: Sequence[Any], name: str) -> Observed:
    """Where `name` stands in an env's observation table, per asset (columns `name`, or
    `<asset>:name` in order).
    """
    found = [
        i
        for i, column in enumerate(table)
        if column.name == name or column.name.endswith(f":{name}")
    ]
    if not found:
        raise AgentError(
            f"the observations have no column {name!r};"
            f" {nearest(name, [column.name for column in table])}"
        )
    return Observed(np.array(found), np.array([table[i].scale for i in found], np.float32))


@dataclass(frozen=True)
class Provenance:
    """Settings of the env, hash of the market and names of the observations that a learner was
    trained with (a rule: was bound to last).
    """

    env: dict[str, Any] = field(default_factory=dict)
    market: str = ""
    observations: tuple[str, ...] = ()


class Agent(ABC):
    """Maps observations to actions, for many environments at once.

    Life: `make` or `load`, then `bind(env)`, then `act` as often as needed. `env` is a
    `fundenv.batch.cpu.Batch` or any of the package's environments. A new agent is one file and one
    line in `agents.registry.AGENTS`; a user's own agent stands in any module and goes by
    `package.module:Class`.
    """

    name: ClassVar[str]
    parameters: ClassVar[type[Params]] = Params
    learns: ClassVar[bool] = False
    any_coins: ClassVar[bool] = False  # what was trained with some coins acts with others, too
    sees_future: ClassVar[bool] = False  # reads later rows of its market: a yardstick, no policy

    # it reads no settings of its env but those of `env_settings`: accounts at several cash rates
    # and costs may then share a batch
    decides_by_observations: ClassVar[bool] = False

    reasons: NDArray[np.int8] | None = (
        None  # (n, A) `agents.Reason` of the last `act`; None for agents that give none
    )

    def __init__(self, params: Params | None = None) -> None:
        self.params = params if params is not None else self.parameters()
        self.provenance = Provenance()

    def env_settings(self) -> dict[str, Any]:
        """`EnvConfig` fields that the agent's actions need; evaluation applies them on top of
        everything else.
        """
        return {"actions": "target"}

    def bind(self, env: Any) -> None:
        """Look up the observation columns; raise `AgentError` where the env does not fit the
        agent.
        """
        batch = batch_of(env)
        names = tuple(column.name for column in batch.observation_table)
        learned, seen = self.provenance.observations, names
        if self.any_coins:  # the observations of one coin and of the account
            learned, seen = (
                tuple(dict.fromkeys(name.split(":")[-1] for name in each))
                for each in (learned, seen)
            )
        if self.learns and learned not in ((), seen):
            odd = sorted(set(seen) ^ set(learned))[:6] or ["their order"]
            raise AgentError(
                f"agent {self.name} knows {len(learned)} observations, this env has {len(seen)};"
                f" they differ in {', '.join(odd)}; give the market the columns of its training"
                " (--extra FILE, --forecast NAME)"
            )
        for key, wanted in self.env_settings().items():
            given = getattr(batch.config, key)
            fits = given == (tuple(wanted) if isinstance(wanted, list) else wanted)
            if not fits and not (key == "observe" and set(wanted) <= set(given)):
                raise AgentError(
                    f"agent {self.name} needs an env with {key} = {wanted!r}, this one has"
                    f" {given!r}; pass agent.env_settings() to it"
                )
        if not (self.learns and self.provenance.market):
            self.provenance = Provenance(batch.config.to_dict(), batch.market.hash, names)
        self.look_up(batch)

    def look_up(self, batch: Any) -> None:  # noqa: B027
        """Find in the batch what `act` needs."""

    @abstractmethod
    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Actions (n, k) for observations (n, D)."""

    def words(self, environment: int = 0) -> tuple[str, ...]:
        """The reasons of the last `act` for one environment in words, one per asset; empty for an
        agent that gives none.
        """
        return (
            ()
            if self.reasons is None
            else tuple(WORDS[code] for code in self.reasons[environment].tolist())
        )

    def tally(self, active: NDArray[np.bool_]) -> None:  # noqa: B027
        """Count the last decision of the environments in `active` (n,); for agents that report
        `counts`.
        """

    def counts(self) -> str:
        """What was counted since the last `reset` of all, in words; empty for most agents."""
        return ""

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:  # noqa: B027
        """Forget the episodes of the environments in `mask` (n,), or all; agents without memory do
        nothing.
        """

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write everything that `agents.load` needs; what the folder held before stays usable
        until all of it is there.
        """
        record = {
            "agent": self.name,
            "class": f"{type(self).__module__}:{type(self).__qualname__}",
            "params": self.params.to_dict(),
            "env": self.provenance.env,
            "market": self.provenance.market,
            "observations": list(self.provenance.observations),
        } | self.extra()
        write_agent(Path(folder), self.write, record)

    def write(self, folder: Path) -> None:  # noqa: B027
        """Write the agent's own files (weights) into `folder`, which is empty; rules have none."""

    def extra(self) -> dict[str, Any]:
        """More JSON values for the checkpoint."""
        return {}

    def read(self, folder: Path, record: dict[str, Any]) -> None:  # noqa: B027
        """Read what `write` and `extra` wrote."""


class TrainingCallback(Protocol):
    """Training callback. Both methods return True to continue, False to stop.

    A stopped training continues where it stopped when `learn` is called again; one that was stopped
    in its warm start begins anew.
    """

    def step(self, steps: int, batch: Any) -> bool:
        """Called after steps of the batch, after every one where it lies in the host's memory, with
        the environment steps done.
        """

    def update(self, steps: int, scalars: dict[str, float]) -> bool:
        """Called after updates of the learner and rounds of its warm start, with the environment
        steps done and its own diagnostics.
        """


def goes_on(callback: TrainingCallback, method: str, answer: Any) -> bool:
    """What `callback` has answered in one of its methods; raises `AgentError` where that is neither
    True nor False.
    """
    if not isinstance(answer, bool | np.bool_):
        raise AgentError(
            f"{type(callback).__name__}.{method} returned {answer!r}: a callback must return True"
            " to go on or False to stop"
        )
    return bool(answer)


class Learner(Agent):
    """An agent that improves by interaction."""

    learns = True
    step_cost: ClassVar[float] = (
        1.0  # relative computing time of one environment step, for estimates of the time left
    )
    counts_steps: ClassVar[bool] = True  # False: it is fitted at once, `steps` changes nothing
    steps_done: int = 0
    steps_wanted: int = 0
    verdict: str | None = None  # what a selection after the training has found, in one line

    def warm_start(self) -> tuple[int, float]:
        """(rounds before the first step, each of which calls `update` of the callback once; what a
        round costs, in environment steps), for estimates of the time left.
        """
        return 0, 0.0

    def extra(self) -> dict[str, Any]:
        """How far the training has come."""
        return {"steps_done": self.steps_done, "steps_wanted": self.steps_wanted}

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """How far the training had come."""
        self.steps_done, self.steps_wanted = record["steps_done"], record["steps_wanted"]

    def require(self) -> None:
        """Raise `AgentError` where a library or a device is missing that the learning needs; called
        before anything of a training is written.
        """

    @abstractmethod
    def training_settings(self) -> dict[str, Any]:
        """`EnvConfig` fields for training, beyond `env_settings`."""

    @abstractmethod
    def learn(
        self,
        market: Any,
        settings: dict[str, Any],
        *,
        steps: int,
        seed: int,
        callback: TrainingCallback | None = None,
    ) -> None:
        """Learn until `steps_done` reaches `steps` environment steps in all, continuing from where
        the agent stands.
        """
