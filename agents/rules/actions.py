"""Target actions (`actions="target"`), the form of the actions of rules, and their reasons."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.reasons import Reason, first_reason

HELD = 0.02  # |carry| below which an account counts as flat: a remainder of lot rounding


def targets(
    hold: NDArray[np.bool_],
    carry: float | NDArray[Any],
    *,
    hedge: float | NDArray[Any] = 1.0,
    leverage: float | NDArray[Any] = 3.0,
) -> NDArray[np.float64]:
    """Actions (n, A * 4) from arrays (n, A): hold flag, carry [-1, 1], hedge ratio, leverage."""
    parts = (hold, carry, hedge, leverage)
    rows = np.empty((*np.broadcast(*parts).shape, len(parts)))
    for k, part in enumerate(parts):
        rows[..., k] = part
    return rows.reshape(len(hold), -1)


def explained(
    *,
    pending: NDArray[np.bool_],
    closed: NDArray[np.bool_],
    enters: NDArray[np.bool_],
    leaves: NDArray[np.bool_],
    levers: bool | NDArray[np.bool_] = False,
    inside: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """`Reason` (n, A) of each decision: the first flag that is set, in the order of the arguments;
    flat where none is.
    """
    return first_reason(
        [pending, closed, enters, leaves, np.asarray(levers), inside],
        [Reason.PENDING, Reason.CLOSED, Reason.ENTER, Reason.EXIT, Reason.LEVER, Reason.HOLD],
        Reason.NEUTRAL,
    )
