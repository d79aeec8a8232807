"""How long an account waits for missing rows, and since when each has been missing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fundenv.market.download.series import HOUR_MS


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How long an account waits, ms.

    lag: after a close, before its bar is requested. hole: for a bar that later bars have followed,
    and for a settlement that seemed due, before the bar is sealed without it (then it counts as
    halted, as in files). gone: for a coin without any newer bar while others have some.

    `hole` and `gone` count from the first poll at which the venue answered without the row. A poll
    at which the venue did not answer starts the count again, because a failed request does not show
    that the row is missing.
    """

    lag: int = 15_000
    hole: int = 2 * HOUR_MS
    gone: int = 6 * HOUR_MS


class Patience:
    """Since when each row has been missing from the venue's answers."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str, int], int] = {}
        self._now: dict[tuple[str, str, int], int] = {}
        self._time = 0
        self._unheard: Collection[tuple[str, str]] = ()

    def look(self, now: int, unheard: Collection[tuple[str, str]]) -> None:
        """Begin a poll at `now` (ms); unheard: (symbol, kind) whose venue did not answer."""
        self._before, self._now, self._time, self._unheard = self._now, {}, now, unheard

    def waited(self, symbol: str, kind: str, slot: int, *, legs: Sequence[str] = ()) -> int:
        """How long (ms) a row has been missing; `legs`: the kinds that must have been answered."""
        silent = any((symbol, leg) in self._unheard for leg in legs or (kind,))
        first = self._time if silent else self._before.get((symbol, kind, slot), self._time)
        self._now[symbol, kind, slot] = first
        return self._time - first
