"""The base of rules: parameters that may differ between environments, and a memory that follows the
episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent
from agents.params import AgentError, Params

BP_PER_YEAR = 1e4 / (3 * 365)  # a fraction per year in bp per 8 h


class Rule(Agent):
    """An agent that does not learn. One `act` serves any number of environments at once, each with
    parameters of its own where `vary` has set them.

    Subclasses read parameters from `self.p` (numbers, or arrays (n, 1) that broadcast over the
    assets), and derive memory from `Memory`.
    """

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.p = SimpleNamespace(**self.params.to_dict())
        self.varied: dict[str, NDArray[Any]] = {}
        self.memories: list[Memory] = []

    def vary(self, values: Mapping[str, Any]) -> None:
        """Give every environment its own value of some parameters: `vary({"entry": [2.0, 2.5,
        3.0]})` for three environments.

        Raises `AgentError` with field, value and range. Such an agent serves exactly that many
        environments and cannot be saved.
        """
        self.varied = self.params.vary(values, owner=self.name)
        self.p = SimpleNamespace(
            **self.params.to_dict() | {name: array[:, None] for name, array in self.varied.items()}
        )

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget the episodes of the environments in `mask` (n,), or all."""
        for memory in self.memories:
            memory.forget(mask)

    def write(self, folder: Path) -> None:
        """A rule has no files; one whose parameters differ between environments cannot be saved."""
        if self.varied:
            raise AgentError(
                f"agent {self.name} has parameters per environment ({', '.join(self.varied)}); make"
                " one with single values to save it"
            )


class Memory:
    """Arrays (n, A) that begin at the first observation of an episode; `fresh` (n,) marks
    environments whose episode begins now.
    """

    fresh: NDArray[np.bool_]

    def __init__(self) -> None:
        self.fresh = np.zeros(0, dtype=bool)

    def forget(self, mask: NDArray[np.bool_] | None) -> None:
        """Begin anew with the next observation."""
        if mask is None:
            self.fresh = np.zeros(0, dtype=bool)
        elif len(self.fresh):
            self.fresh |= np.asarray(mask, dtype=bool)

    def arrive(self, n: int) -> bool:
        """Prepare for n observations; True if the arrays have to be created. Raises `AgentError` if
        n has changed without a `reset`.
        """
        if not len(self.fresh):
            self.fresh = np.ones(n, dtype=bool)
            return True
        if len(self.fresh) != n:
            raise AgentError(
                f"the rule remembers {len(self.fresh)} environments and got {n} observations; call"
                " reset() in between"
            )
        return False

    def settle_in(self) -> None:
        """The first observation of every episode has been taken in."""
        self.fresh = np.zeros(len(self.fresh), dtype=bool)
