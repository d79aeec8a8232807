"""How long an account waits for what is missing, and since when it has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fundenv.market.download.series import HOUR_MS


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How long an account waits, ms.

    lag: after a close before its bar is asked for. hole: for a bar that later bars have followed,
    and for a settlement that seemed due, before the bar is sealed without it (then it counts as
    halted, as in files). gone: for a coin without any newer bar while others have some. Both count
    from the first look at which the venue answered without the row, and anew from every look at
    which it did not answer: a request that failed is no sign that there is nothing.
    """

    lag: int = 15_000
    hole: int = 2 * HOUR_MS
    gone: int = 6 * HOUR_MS


class Patience:
    """Since when each row has been missing though the venue answered."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str, int], int] = {}
        self._now: dict[tuple[str, str, int], int] = {}
        self._time = 0
        self._unheard: Collection[tuple[str, str]] = ()

    def look(self, now: int, unheard: Collection[tuple[str, str]]) -> None:
        """Begin a look at `now` (ms); unheard: (symbol, kind) whose venue did not answer."""
        self._before, self._now, self._time, self._unheard = self._now, {}, now, unheard

    def waited(self, symbol: str, kind: str, slot: int, *, legs: Sequence[str] = ()) -> int:
        """How long (ms) a row has been missing; `legs`: the kinds that must have been heard."""
        silent = any((symbol, leg) in self._unheard for leg in legs or (kind,))
        first = self._time if silent else self._before.get((symbol, kind, slot), self._time)
        self._now[symbol, kind, slot] = first
        return self._time - first
