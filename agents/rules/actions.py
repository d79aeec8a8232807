"""Target actions (`actions="target"`), the form of the actions of rules."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HELD = 0.02  # |carry| below which an account counts as flat: a remainder of lot rounding


def targets(
    hold: NDArray[np.bool_],
    carry: float | NDArray[Any],
    *,
    hedge: float | NDArray[Any] = 1.0,
    leverage: float | NDArray[Any] = 3.0,
) -> NDArray[np.float64]:
    """Actions (n, A * 4) from arrays (n, A): hold flag, carry [-1, 1], hedge ratio, leverage."""
    parts = np.broadcast_arrays(hold, carry, hedge, leverage)
    return np.stack(parts, axis=-1).astype(np.float64).reshape(len(hold), -1)
