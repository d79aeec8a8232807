"""What the z-score rule saw at a decision, and the reason that follows from it."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.reasons import Reason, first_reason
from agents.rules.memory import Array

Flags = NDArray[np.bool_]
Codes = NDArray[np.int8]


class Zone(IntEnum):
    """Where |z| stands."""

    EXIT = 0  # below `exit`
    NEUTRAL = 1  # below `monitor`
    MONITOR = 2  # below `entry`
    ENTRY = 3


class State(IntEnum):
    """What the rule is doing with an asset; COOLING follows a stop and ends in the neutral zone."""

    REVERSE = -1
    FLAT = 0
    CARRY = 1
    COOLING = 2


class Checks(NamedTuple):
    """A decision of n environments on A assets, each (n, A)."""

    z: Array
    position: Array  # -1, 0, 1: before the decision
    target: Array  # after it
    pending: Flags  # an after-liquidation order is due
    keep: Flags  # a position with no way out
    stopped: Flags
    flipped: Flags  # funding has turned against the position
    cooling: Flags  # after a stop
    against: Flags  # funding has the other sign than the side that is signalled
    unconfirmed: Flags  # by RSI
    unpaid: Flags  # costs are above the funding that is expected
    crowded: Flags  # funding is high everywhere


def zones(z: Array, p: Any) -> Codes:
    """`Zone` of each signal under parameters `p`."""
    size = np.abs(z)
    return np.select(
        [size >= p.entry, size >= np.minimum(p.monitor, p.entry), size >= p.exit],
        [Zone.ENTRY, Zone.MONITOR, Zone.NEUTRAL],
        Zone.EXIT,
    ).astype(np.int8)


def reasons(checks: Checks, p: Any) -> Codes:
    """`Reason` of each decision under parameters `p`: the first that holds, in the order below."""
    z, position, target = checks.z, checks.position, checks.target
    inside, enters = position != 0, (target != 0) & (target != position)
    signalled = (z >= p.entry) | ((z <= -np.asarray(p.entry)) & p.two_sided)
    first = {
        Reason.PENDING: checks.pending,
        Reason.HOLD: checks.keep,
        Reason.ENTER_CUT: enters & checks.crowded,
        Reason.ENTER: enters,
        Reason.STOP: inside & checks.stopped,
        Reason.FLIP: inside & checks.flipped,
        Reason.EXIT: inside,
        Reason.MONITOR: ~signalled & (np.abs(z) >= np.minimum(p.monitor, p.entry)),
        Reason.NEUTRAL: ~signalled,
        Reason.COOL: checks.cooling,
        Reason.AGAINST: checks.against,
        Reason.UNCONFIRMED: checks.unconfirmed,
        Reason.COSTS: checks.unpaid,
    }
    return first_reason(list(first.values()), list(first), Reason.SMALL)
