"""The base of a forecaster: it learns from a span of a market, and forecasts future funding at
every settlement, with its uncertainty.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.forecast.attribution import Parts, cannot
from fundenv.forecast.errors import ForecastError
from fundenv.forecast.history import HORIZONS, LEAST, Array, Panel, panel_of
from fundenv.forecast.inputs import available, check_groups
from fundenv.forecast.saved import write
from fundenv.forecast.width import LEVELS, Width
from fundenv.market import Market
from fundenv.settings import Settings

Span = tuple[Any, Any] | None
LOOK_BACK = 400  # settlements before a span that a forecast of it may use; a month of bars and more
_CHECKED = 60  # settlements before the end whose forecasts `check_causal` makes a second time


@dataclass(frozen=True, kw_only=True)
class ForecasterSettings(Settings):
    """Base of every parameter class of a forecaster."""

    error: ClassVar[type[ValueError]] = ForecastError


class Predicted(NamedTuple):
    """Forecasts of one history: K origins, H horizons."""

    symbol: str
    ns: NDArray[np.int64]  # (K,) settlement after which each was made
    mean: Array  # (K, H) bp per 8 h, mean of the next h settlements
    quantiles: Array  # (K, H, 5) at LEVELS, bp per 8 h
    target: Array  # (K, H) the mean rate that was settled; NaN where it is not settled yet
    delay_ns: int = 0  # time from the settlement to the origin, at which the forecast is public


class Forecaster(ABC):
    """Learns from the past, forecasts the mean rate of the next 1, 3, 9, 21 and 63 settlements.

    A subclass has two methods. `learn` gets the panel of the training span alone, so no later rate
    can leak into it. `means` gets a panel and returns, for each history, (K, H) numbers of which
    row k uses only what was public at origin k; `check_causal` finds a forecaster that uses later
    data. The quantiles come from past errors (`fundenv.forecast.width`), for every forecaster
    alike.
    """

    name: ClassVar[str]
    parameters: ClassVar[type[ForecasterSettings]] = ForecasterSettings
    groups: ClassVar[tuple[str, ...]] = ()
    """Groups of inputs read by default; those without data are left out. Empty: rates alone."""
    refits: ClassVar[bool] = False
    """Whether its errors on the training span are too small; then the last fifth of the span
    measures them.
    """
    draws: ClassVar[bool] = False
    """Whether it draws random numbers, so that seeds differ."""

    def __init__(
        self,
        params: ForecasterSettings | None = None,
        *,
        inputs: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.params: Any = params if params is not None else self.parameters()
        self.asked = None if inputs is None else check_groups(tuple(inputs))
        self.seed = seed
        self.inputs: tuple[str, ...] = ()
        self.width = Width()
        self.data_hash = ""
        self.fitted_until = 0

    @abstractmethod
    def learn(self, panel: Panel) -> None:
        """Fit to all settlements of the panel."""

    @abstractmethod
    def means(self, panel: Panel) -> list[Array]:
        """(K, H) forecasts of every history, bp per 8 h."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that `learn` fitted, as arrays."""
        return {}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:  # noqa: B027
        """Set what `learn` fitted from the arrays that `state` returned."""

    def fit(self, market: Market | Panel, span: Span = None) -> Self:
        """Learn from the settlements in `span` (start, end; UTC, the end excluded), by default all.

        Nothing after the end is seen, not even as a target. Raises `ForecastError` where the span
        is too short.
        """
        panel = cut(panel_of(market), span)
        with one_thread():
            self._fit(panel)
        self.data_hash = panel.hash
        self.fitted_until = max(int(history.ns[-1]) for history in panel)
        return self

    def _fit(self, panel: Panel) -> None:
        self.inputs = self.choose(panel)
        if self.refits:
            ends = [int(history.ns[int(0.8 * len(history))]) for history in panel]
            early = panel.until(max(ends))
            if len(early):
                self.learn(early)
                self.width.fit(panel, self.means(panel), since=max(ends))
        self.learn(panel)
        if not self.width.known:
            self.width.fit(panel, self.means(panel))

    def choose(self, panel: Panel) -> tuple[str, ...]:
        """The groups of inputs to use: those asked for, or the default ones that have data."""
        if self.asked is not None and self.groups:
            return check_groups(self.asked, panel)
        have = available(panel)
        return tuple(group for group in self.groups if group in have)

    def predict(
        self, market: Market | Panel, span: Span = None, *, tracked: bool = True
    ) -> list[Predicted]:
        """Forecasts at every settlement in `span`, by default all that follow the fitted ones.

        The errors of forecasts that were made since the fit, and settled by then, move the
        quantiles. With `tracked=False` they move only the scale; the levels stay those of the fit.
        """
        panel, start = self.asked_panel(market, span)
        with one_thread():
            means = self.means(panel)
        found = []
        for history, mean in zip(panel, means, strict=True):
            quantiles = self.width.quantiles(history, mean, self.fitted_until, tracked=tracked)
            rows = history.ns >= start
            target = history.targets()
            found.append(
                Predicted(
                    history.symbol,
                    history.ns[rows],
                    mean[rows],
                    quantiles[rows],
                    target[rows],
                    history.delay_ns,
                )
            )
        return found

    def asked_panel(self, market: Market | Panel, span: Span) -> tuple[Panel, int]:
        """The panel that a forecast of a span reads, and the start of the span (ns)."""
        if not self.width.known:
            raise ForecastError(f"forecaster {self.name} is not fitted; call fit first")
        panel = panel_of(market)
        start = self.fitted_until + 1 if span is None else edge(span[0])
        if span is not None and span[1] is not None:
            panel = panel.until(edge(span[1]) - 1)
        panel = before(panel, min(start, self.fitted_until), LOOK_BACK)
        if not len(panel):
            raise ForecastError(
                f"forecaster {self.name}: fewer than {LEAST} settlements up to the end of the span;"
                " give a longer history"
            )
        return panel, start

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """What every input adds to the forecasts of `means` at origins from the instant `since`
        (ns) on; with the base the parts sum to the forecast. See `fundenv.forecast.explain`.
        """
        raise cannot(self.name)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the forecaster with the hash of the data it was fitted on; read by `load`."""
        write(self, Path(folder))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run linear algebra on one thread. Several threads wait for each other on matrices of this
    size: on a busy machine ten times longer than the computation takes.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def edge(instant: Any) -> int:
    """Nanoseconds since 1970 of the start or end of a span; text and dates are UTC."""
    if isinstance(instant, int | np.integer):
        return int(instant)
    stamp = pd.Timestamp(instant)
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp
    return int(stamp.as_unit("ns").value)


def cut(panel: Panel, span: Span) -> Panel:
    """The settlements of a span, its end excluded. Raises `ForecastError` where too few are
    left.
    """
    if span is not None:
        start, end = span
        panel = panel if end is None else panel.until(edge(end) - 1)
        panel = panel if start is None else panel.since(edge(start))
    if not len(panel):
        raise ForecastError(
            f"span {span}: no coin has {LEAST} settlements in it; give an earlier start or a later"
            " end"
        )
    return panel


def before(panel: Panel, ns: int, settlements: int) -> Panel:
    """The panel from `settlements` before the instant `ns` on."""
    cuts = []
    for history in panel:
        k = max(0, int(np.searchsorted(history.ns, ns)) - settlements)
        t = int(np.searchsorted(history.close_ns, history.ns[k])) if k else 0
        cuts.append(history.cut(k, len(history), t, len(history.close_ns)))
    return Panel(tuple(history for history in cuts if len(history)))


def check_causal(forecaster: Forecaster, market: Market | Panel) -> None:
    """Forecast once more without the last days. Raises `ForecastError` if an earlier forecast then
    differs, because it has used later data.
    """
    panel = panel_of(market)
    last = min(int(history.ns[-1]) for history in panel)
    end = last - _CHECKED * 8 * 3_600_000_000_000
    whole, early = before(panel, end, LOOK_BACK), before(panel.until(end), end, LOOK_BACK)
    known = {h.symbol: (h, m) for h, m in zip(whole, forecaster.means(whole), strict=True)}
    for history, mean in zip(early, forecaster.means(early), strict=True):
        other, again = known[history.symbol]
        k = np.searchsorted(other.ns, history.ns)
        odd = np.flatnonzero(~np.isclose(again[k], mean, rtol=1e-5, atol=1e-5).all(axis=1))
        if len(odd):
            when = pd.Timestamp(int(history.ns[odd[0]]))
            raise ForecastError(
                f"forecaster {forecaster.name} looks ahead: at {when:%Y-%m-%d %H:%M}"
                f" {history.symbol} it says {again[k][odd[0], 0]:.4f} with later rates and"
                f" {mean[odd[0], 0]:.4f} without; use only rows up to the row itself"
            )


__all__ = [
    "HORIZONS", "LEVELS", "Forecaster", "ForecasterSettings", "Predicted", "Span", "check_causal",
]  # fmt: skip
