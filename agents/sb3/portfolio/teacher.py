"""The rule that a learner of one capital starts from, asked for its choices."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent
from agents.params import AgentError, read_pairs
from agents.registry import agent_class, agent_classes, make
from agents.rules.capital import OneCapital
from agents.sb3.portfolio.choices import Choices


def read_teacher(text: str) -> Agent:
    """The rule that `teacher` names, with its parameters; `AgentError` for what is no rule of one
    capital.
    """
    name, *pairs = text.split() or [""]
    kind = agent_class(name)
    if not issubclass(kind, OneCapital) or not hasattr(kind, "vary"):
        known = [
            each
            for each, found in agent_classes().items()
            if issubclass(found, OneCapital) and hasattr(found, "vary")
        ]
        raise AgentError(
            f"teacher = {text!r}: {name} is no rule of one capital; choose one of"
            f" {', '.join(known)}"
        )
    try:
        values = read_pairs(pairs)
    except AgentError as error:
        raise AgentError(f"teacher = {text!r}: after the rule, {error}") from None
    return make(name, **values)


class Teacher:
    """A rule's answers as choices; its memory follows the episodes of a training env."""

    def __init__(self, text: str, batch: Any, choices: Choices) -> None:
        self.rule: Any = read_teacher(text)
        self.choices = choices
        self.rule.look_up(batch)
        self.rule.reset()

    def choose(self, obs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Choices (n,) for observations (n, D)."""
        return self.choices.nearest(self.rule.act(obs))

    def state(self) -> list[dict[str, Any]]:
        """Copies of what the rule remembers."""
        return [deepcopy(vars(memory)) for memory in self.rule.memories]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Go on from what `state` returned."""
        for memory, kept in zip(self.rule.memories, state, strict=True):
            vars(memory).update(deepcopy(kept))

    def ended(self, ended: NDArray[np.bool_]) -> None:
        """Episodes of the environments in `ended` (n,) have begun anew."""
        self.rule.reset(ended)
