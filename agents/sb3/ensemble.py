"""Several trained agents as one: the ensemble averages their outputs, so that what one seed learned
by luck counts for less.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent, Provenance
from agents.params import AgentError, Params
from agents.registry import agent_classes, load
from agents.sb3.base import SB3Agent, libraries
from agents.sb3.ppo import PPO
from agents.sb3.sac import SAC
from agents.sb3.zones import best_zones

_MEMBER = "member-"


class Ensemble(Agent):
    """Trained agents of one kind that decide together; `join` makes one, `save` writes it with its
    members. Members must have the same observations and the same meaning of an action; seeds,
    lengths, networks and markets may differ.
    """

    learns = True
    decides_by_observations = True
    of: ClassVar[type[SB3Agent]]

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.members: list[Any] = []
        self._rng = np.random.default_rng(0)

    def join(self, members: Sequence[Agent]) -> None:
        """Take the members; raises `AgentError` where one does not fit."""
        if not members:
            raise AgentError(
                f"agent {self.name} has no members; give at least one trained {self.of.name}"
            )
        first: Any = members[0]
        for member in members:
            if not isinstance(member, self.of):
                raise AgentError(
                    f"agent {self.name} is made of {self.of.name}, not of {member.name}; leave"
                    " it out"
                )
            if member.model is None:
                raise AgentError(
                    f"agent {self.name}: a member has not learned yet; train it or load a"
                    " checkpoint"
                )
            if member.provenance.observations != first.provenance.observations:
                raise AgentError(
                    f"agent {self.name}: its members were trained on different observations; train"
                    " them on the same columns"
                )
            for key, said in member.action_meaning().items():
                if first.action_meaning()[key] != said:
                    raise AgentError(
                        f"agent {self.name}: its members have different {key},"
                        f" {first.action_meaning()[key]!r} and {said!r}; join only those that agree"
                    )
        self.members = list(members)
        markets = ", ".join(dict.fromkeys(member.provenance.market for member in self.members))
        self.provenance = Provenance(first.provenance.env, markets, first.provenance.observations)

    def env_settings(self) -> dict[str, Any]:
        """Those of the members."""
        return self.members[0].env_settings() if self.members else self.of().env_settings()

    def look_up(self, batch: Any) -> None:
        """Bind the members."""
        for member in self.members:
            member.bind(batch)

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Members whose policy starts from a rule forget the episodes of the environments in `mask`
        (n,), or all.
        """
        for member in self.members:
            member.reset(mask)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Greedy on the mean of the members' outputs; if not deterministic, each environment gets
        the draw of a random member.
        """
        if not self.members:
            raise AgentError(
                f"agent {self.name} has no members; join trained agents or load a checkpoint"
            )
        if deterministic:
            return self.agree(obs)
        drawn = np.stack([member.act(obs, deterministic=False) for member in self.members])
        chosen: NDArray[Any] = drawn[
            self._rng.integers(len(drawn), size=len(obs)), np.arange(len(obs))
        ]
        return chosen

    @abstractmethod
    def agree(self, obs: NDArray[np.float32]) -> NDArray[Any]:
        """Actions (n, k) that the members choose together."""

    def write(self, folder: Path) -> None:
        """A folder for each member."""
        for number, member in enumerate(self.members):
            member.save(folder / f"{_MEMBER}{number}")

    def extra(self) -> dict[str, Any]:
        """How many members there are."""
        return {"members": len(self.members)}

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """The members."""
        if record["members"]:
            self.join([load(folder / f"{_MEMBER}{number}") for number in range(record["members"])])


class PPOEnsemble(Ensemble):
    """Trained PPO seeds as one agent: each gate and leverage is the one with the highest mean
    log-probability, a continuous dial the mean of the seeds.
    """

    name = "ppo_ensemble"
    of = PPO

    def agree(self, obs: NDArray[np.float32]) -> NDArray[Any]:
        """Entries of the gate and of the leverage grid, per asset; continuous: the dials."""
        if self.members[0].continuous:
            middle: NDArray[Any] = np.mean([member.act(obs) for member in self.members], axis=0)
            return middle
        torch, _ = libraries()
        with torch.no_grad():
            opinions = [
                [head.log_softmax(dim=1) for head in member.heads(obs)] for member in self.members
            ]
            return np.stack(
                [
                    torch.stack(head).mean(dim=0).argmax(dim=1).numpy()
                    for head in zip(*opinions, strict=True)
                ],
                axis=1,
            )


class SACEnsemble(Ensemble):
    """Trained SAC seeds as one agent: the action with the highest mean value of all critics; of
    actors that choose a zone, the mean of their means.
    """

    name = "sac_ensemble"
    of = SAC

    def agree(self, obs: NDArray[np.float32]) -> NDArray[Any]:
        """Target actions."""
        torch, _ = libraries()
        models, speaker = [member.model for member in self.members], self.members[0]
        if speaker.params.kind == "zones":
            if speaker.params.act_by == "critic":
                return speaker.translated(best_zones(models, obs))  # type: ignore[no-any-return]
            middle = np.mean(
                [model.predict(obs, deterministic=True)[0] for model in models], axis=0
            )
            return speaker.translated(middle)  # type: ignore[no-any-return]
        with torch.no_grad():
            values = torch.stack([model.q_net(torch.as_tensor(obs)) for model in models]).mean(
                dim=0
            )
        return speaker.translated(values.argmax(dim=1).numpy())  # type: ignore[no-any-return]


def ensemble_class(kind: type[Agent]) -> type[Ensemble]:
    """The ensemble of agents of class `kind`; `AgentError` where there is none."""
    found = [
        each
        for each in agent_classes().values()
        if issubclass(each, Ensemble) and issubclass(kind, each.of)
    ]
    if not found:
        raise AgentError(
            f"there is no ensemble of {kind.name}; choose members of {PPO.name} or {SAC.name}"
        )
    return found[0]


def joined(folders: Sequence[Path]) -> Ensemble:
    """The agents in `folders` as one."""
    members = [load(folder) for folder in folders]
    ensemble = ensemble_class(type(members[0]))()
    ensemble.join(members)
    return ensemble
