"""Why a rule decided as it did: one code per environment and asset and decision."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Reason(IntEnum):
    """The reason of a decision; `text` says it in words."""

    HOLD = 0, "keeps what it has"
    NEUTRAL = 1, "flat, the signal is weak"
    MONITOR = 2, "flat, the signal is near entry"
    ENTER = 3, "enters"
    ENTER_CUT = 4, "enters smaller, funding is high everywhere"
    LEVER = 5, "restores the leverage"
    EXIT = 6, "leaves, the signal is gone"
    FLIP = 7, "leaves, funding has turned against the position"
    STOP = 8, "leaves, the loss has reached the stop"
    PENDING = 9, "waits for an after-liquidation order"
    AGAINST = 10, "stays flat, funding itself has the other sign"
    UNCONFIRMED = 11, "stays flat, RSI does not confirm"
    COSTS = 12, "stays flat, expected funding does not pay the costs"
    SMALL = 13, "stays flat, the size allowed is not worth an order"
    COOL = 14, "stays flat after a stop until the signal has been neutral"
    CLOSE = 15, "closes what it found"
    CLOSED = 16, "the coin does not trade now"
    VETO = 17, "stays as it is, the rule laid over it refuses"
    FORCED = 18, "leaves, the rule laid over it says so"

    text: str

    def __new__(cls, code: int, text: str) -> Reason:
        """A member that carries its words."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member


WORDS = {int(reason): reason.text for reason in Reason}


def first_reason(
    conditions: Sequence[NDArray[np.bool_]], reasons: Sequence[Reason], otherwise: Reason
) -> NDArray[np.int8]:
    """The reason (n, A) of the first condition that holds, each (n, A) or such that they give it
    together; `numpy.select` for small arrays.
    """
    found = np.full(np.broadcast(*conditions).shape, otherwise, np.int8)
    for condition, reason in zip(reversed(conditions), reversed(reasons), strict=True):
        np.copyto(found, np.int8(reason), where=condition)
    return found
