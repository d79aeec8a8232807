"""The mean of several forecasters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fundenv.forecast.attribution import Parts
from fundenv.forecast.base import Forecaster, ForecasterSettings
from fundenv.forecast.errors import ForecastError
from fundenv.forecast.history import Array, Panel


@dataclass(frozen=True, kw_only=True)
class EnsembleSettings(ForecasterSettings):
    """Parameters of the ensemble."""

    members: tuple[str, ...] = ("clipped_har", "ridge", "boosting")
    """The forecasters that are averaged: names, or package.module:Class."""


class Ensemble(Forecaster):
    """The plain mean of the forecasts of its members."""

    name: ClassVar[str] = "ensemble"
    parameters: ClassVar[type[ForecasterSettings]] = EnsembleSettings
    refits: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    def choose(self, panel: Panel) -> tuple[str, ...]:
        """The groups asked for, which every member gets; without them each chooses its own."""
        return self.asked if self.asked is not None else ()

    def _make(self) -> list[Forecaster]:
        from fundenv.forecast.registry import make

        if not self.params.members or "ensemble" in self.params.members:
            raise ForecastError(
                f"forecaster ensemble: members {self.params.members}; give at least one, and not"
                " ensemble"
            )
        return [make(n, inputs=self.asked, seed=self.seed) for n in self.params.members]

    def learn(self, panel: Panel) -> None:
        """Fit the members."""
        self.members = self._make()
        for member in self.members:
            member.inputs = member.choose(panel)
            member.learn(panel)

    def means(self, panel: Panel) -> list[Array]:
        """Forecasts (K, H)."""
        each = [member.means(panel) for member in self.members]
        return [np.mean([m[i] for m in each], axis=0) for i in range(len(panel))]

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """The means of the members' parts."""
        each = [member.explain(panel, since) for member in self.members]
        found = []
        for own in zip(*each, strict=True):
            keys = dict.fromkeys(key for parts in own for key in parts.values)
            values = {
                key: np.sum([p.values[key] for p in own if key in p.values], axis=0) / len(own)
                for key in keys
            }
            found.append(Parts(np.mean([parts.base for parts in own], axis=0), values))
        return found

    def state(self) -> dict[str, NDArray[Any]]:
        """The state of every member, its keys prefixed by the member's number, and its groups."""
        found: dict[str, NDArray[Any]] = {}
        for i, member in enumerate(self.members):
            found |= {f"member{i}/{name}": value for name, value in member.state().items()}
            found[f"member{i}/inputs"] = np.array(",".join(member.inputs))
        return found

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        self.members = self._make()
        for i, member in enumerate(self.members):
            start = f"member{i}/"
            own = {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}
            member.inputs = tuple(filter(None, str(own.pop("inputs")).split(",")))
            member.restore(own)
