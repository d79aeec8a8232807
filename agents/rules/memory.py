"""Memories of rules, built from the observations alone: settled funding rates (which are new, their
mean, their score), and the losses of positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.rules.base import Memory

Array = NDArray[np.float64]
# of the exponential means that the observations hold; 1 is the last rate itself
SPANS = (1, 3, 9, 21, 90)
_LATER = 1e-3  # of an interval; smaller differences of the phase are rounding


class Settled(Memory):
    """Finds the observations with a newly settled rate: the phase since the last settlement has
    started again, or is full again.

    A rule that decides less often than rates settle observes only the last rate of each step.
    """

    def __init__(self, table: Any) -> None:
        super().__init__()
        self._rate, self._sin, self._cos = (
            observed(table, name) for name in ("funding_last", "settlement_sin", "settlement_cos")
        )
        self._phase = np.zeros((0, 0))

    def see(self, obs: NDArray[np.float32]) -> tuple[Array, NDArray[np.bool_]]:
        """(rate settled last [bp per 8 h], whether it is new), both (n, A); in the first
        observation of an episode it counts as new.
        """
        turn = np.arctan2(self._sin.of(obs), self._cos.of(obs)) / (2 * np.pi)
        phase = np.where(turn <= _LATER, turn + 1.0, turn)
        if self.arrive(len(obs)):
            self._phase = phase
        new = phase <= self._phase + _LATER
        self._phase = phase
        if self.fresh.any():
            new |= self.fresh[:, None]
            self.settle_in()
        return self._rate.of(obs).astype(np.float64), new


class Mean(Memory):
    """Exponential mean of settled rates of any span.

    It begins at the observed mean whose span is nearest, so that an episode needs no warm-up; for
    an observed span it stays equal to it.
    """

    def __init__(self, table: Any) -> None:
        super().__init__()
        self._observed = [
            observed(table, "funding_last" if span == 1 else f"funding_ewma_{span}")
            for span in SPANS
        ]
        self._mean = np.zeros((0, 0))

    def see(
        self, obs: NDArray[np.float32], rate: Array, new: NDArray[np.bool_], span: Any
    ) -> Array:
        """The mean (n, A) [bp per 8 h]; span: settlements, a number or (n, 1)."""
        if self.arrive(len(obs)):
            self._mean = np.zeros(rate.shape)
        if self.fresh.any():
            nearest = np.abs(np.log(np.asarray(span, float)[..., None] / np.array(SPANS))).argmin(
                axis=-1
            )
            start = np.choose(
                np.broadcast_to(nearest, rate.shape), [column.of(obs) for column in self._observed]
            )
            self._mean = np.where(
                self.fresh[:, None],
                start,
                self._mean + np.where(new, 2.0 / (span + 1.0) * (rate - self._mean), 0.0),
            )
            self.settle_in()
        else:
            self._mean += np.where(new, 2.0 / (span + 1.0) * (rate - self._mean), 0.0)
        return self._mean


class Deviation(Memory):
    """Exponential standard deviation of settled rates around their exponential mean, at least
    `FLOOR`.
    """

    FLOOR = 0.1  # bp per 8 h: a rate that was constant for weeks may still change

    def __init__(self, table: Any) -> None:
        super().__init__()
        self._last, self._mean = observed(table, "funding_last"), observed(table, "funding_ewma_90")
        self._variance = np.zeros((0, 0))

    def see(
        self, obs: NDArray[np.float32], surprise: Array, new: NDArray[np.bool_], span: Any
    ) -> Array:
        """The deviation (n, A) [bp per 8 h]; surprise: the rate less the mean before it. It begins
        at the distance of the last rate from its long mean.
        """
        if self.arrive(len(obs)):
            self._variance = np.zeros(surprise.shape)
        weight = 2.0 / (span + 1.0)
        self._variance = np.where(
            new, (1.0 - weight) * (self._variance + weight * surprise**2), self._variance
        )
        if self.fresh.any():
            start = (self._last.of(obs).astype(np.float64) - self._mean.of(obs)) ** 2
            self._variance = np.where(self.fresh[:, None], start, self._variance)
            self.settle_in()
        return np.maximum(np.sqrt(self._variance), self.FLOOR)


class Window(Memory):
    """Mean and sample deviation of the last N settled rates; N may differ between environments.

    Rates are kept as whole multiples of 1e-4 bp, as venues publish them, so that the running sums
    are exact and equal rates have no deviation.
    """

    GRAIN = 1e-4  # bp

    def __init__(self) -> None:
        super().__init__()
        self._kept: NDArray[Any] = np.zeros((0, 0, 0), dtype=np.int64)

    def see(
        self, rate: Array, new: NDArray[np.bool_], window: Any
    ) -> tuple[Array, Array, NDArray[np.int64]]:
        """(mean, deviation, number of rates so far), each (n, A) [bp per 8 h]; over all rates while
        there are fewer than `window`.
        """
        longest = int(np.max(window))
        if self.arrive(len(rate)) or len(self._kept) != longest:
            self._kept = np.zeros((longest, *rate.shape), dtype=np.int64)
            self._count, self._sum, self._squares = (
                np.zeros(rate.shape, dtype=np.int64) for _ in range(3)
            )
            self._index: Any = tuple(np.indices(rate.shape))
        for array in (self._count, self._sum, self._squares):
            array[self.fresh] = 0
        self.settle_in()
        value = np.rint(rate / self.GRAIN).astype(np.int64)
        behind = (self._count - window) % longest
        dropped = np.where(self._count >= window, self._kept[(behind, *self._index)], 0)
        self._sum += np.where(new, value - dropped, 0)
        self._squares += np.where(new, value**2 - dropped**2, 0)
        slot = (self._count % longest, *self._index)
        self._kept[slot] = np.where(new, value, self._kept[slot])
        self._count += new
        used = np.maximum(np.minimum(self._count, window), 1).astype(np.float64)
        variance = np.maximum(
            used * self._squares - self._sum.astype(np.float64) ** 2, 0.0
        ) / np.maximum(used * (used - 1.0), 1.0)
        return self._sum / used * self.GRAIN, np.sqrt(variance) * self.GRAIN, self._count.copy()


class Trades(Memory):
    """The loss of each position since its entry, and the assets that wait after a stop."""

    def __init__(self) -> None:
        super().__init__()
        self._start, self._cooling = np.zeros((0, 0)), np.zeros((0, 0), dtype=bool)

    def see(self, kept: Any, position: Array, notional: Any, stop: Any) -> NDArray[np.bool_]:
        """Whether the loss of a position has reached the stop, (n, A).

        kept: equity over its highest so far, (n, 1); notional: of all legs over equity, (n, 1).
        """
        if self.arrive(len(position)):
            self._start, self._cooling = (
                np.zeros(position.shape),
                np.zeros(position.shape, dtype=bool),
            )
        self._start = np.where((position == 0) | self.fresh[:, None], kept, self._start)
        self._cooling &= ~self.fresh[:, None]
        self.settle_in()
        lost = 1.0 - kept / np.maximum(self._start, 1e-9)
        return np.asarray((np.asarray(stop) > 0) & (position != 0) & (lost >= stop * notional))

    def cool(self, stopped: NDArray[np.bool_], neutral: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Assets that wait after a stop; it ends once the signal has been neutral."""
        self._cooling = stopped | (self._cooling & ~neutral)
        return self._cooling
