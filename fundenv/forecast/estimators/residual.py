"""Clipped HAR, plus gradient boosting of its errors."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import NDArray

from fundenv.forecast.attribution import Parts
from fundenv.forecast.estimators.boosting import Boosting
from fundenv.forecast.estimators.har import ClippedHar
from fundenv.forecast.estimators.ridge import in_scale
from fundenv.forecast.history import Array, Panel


class ResidualHar(Boosting):
    """Clipped HAR plus gradient boosting of its scaled errors on all groups of inputs."""

    name: ClassVar[str] = "residual_har"

    def learn_base(self, panel: Panel) -> None:
        """Fit clipped HAR."""
        self.har = ClippedHar()
        self.har.learn(panel)

    def base(self, panel: Panel) -> list[Array]:
        """The forecasts of clipped HAR in units of the scale."""
        return in_scale(panel, self.har.means(panel))

    def explain_base(self, panel: Panel, since: int) -> list[Parts]:
        """The parts of clipped HAR."""
        return self.har.explain(panel, since)

    def state(self) -> dict[str, NDArray[Any]]:
        """The trees, and the weights of clipped HAR."""
        return super().state() | self.har.state()

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        super().restore(state)
        self.har = ClippedHar()
        self.har.restore(state)
