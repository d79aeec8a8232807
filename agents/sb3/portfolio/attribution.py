"""Which inputs move the dials of a learner that steers margin carry: integrated gradients
(Sundararajan, Taly and Yan, ICML 2017, by captum) of what its last layer says.

Imported only when captum is there (the extra `forecast`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import nn

from agents.margin.dials import DIALS

Array = NDArray[np.float64]
_STEPS = 32  # nodes of the quadrature
_BATCH = 8192  # rows whose gradients are computed at a time
# beginnings of the names of observations; the first that fits counts
GROUPS: dict[str, tuple[str, ...]] = {
    "forecast": ("forecast",),
    "funding": ("funding",),
    "basis": ("basis",),
    "volatility": ("volatility", "return"),
    "cash and loans": ("cash_rate", "borrow_cost", "free_cash"),
    "distance": ("margin_distance", "liquidation_distance", "unused_collateral"),
    "position": ("perp_", "spot_", "leverage", "target", "carry", "net_carry", "pending"),
}
OTHER = "other"


def group_of(name: str) -> str:
    """The group of an observation, `0:funding_last` or `cash_rate`."""
    own = name.split(":")[-1]
    return next((group for group, begins in GROUPS.items() if own.startswith(begins)), OTHER)


def attributed(agent: Any, obs: NDArray[np.float32]) -> tuple[Array, Array]:
    """(parts (n, D, K) of every observation in every dial, as the last layer says them; what it
    says of the mean observation (K,)). The parts of a row and what it says of the mean add up to
    what it says of the row.
    """
    seen = torch.as_tensor(np.asarray(obs, np.float32), device=agent.model.device)
    mean = seen.mean(dim=0, keepdim=True)

    class Last(nn.Module):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            said: torch.Tensor = agent.last(rows)
            return said

    gradients = IntegratedGradients(Last())
    parts = [
        gradients.attribute(seen, mean, target=dial, n_steps=_STEPS, internal_batch_size=_BATCH)
        for dial in range(len(DIALS))
    ]
    with torch.no_grad():
        base = agent.last(mean)[0]
    told = torch.stack([part.detach() for part in parts], dim=2)
    return told.cpu().numpy().astype(np.float64), base.cpu().numpy().astype(np.float64)


def shares(agent: Any, obs: NDArray[np.float32], names: Sequence[str]) -> dict[str, float]:
    """How much each group of inputs moves the dials: its mean absolute part, all columns of the
    group added up first, of the total over the groups. 0 for all where nothing moves.

    names: of the observations (D,).
    """
    parts, _ = attributed(agent, obs)
    groups = np.array([group_of(name) for name in names])
    moved = {
        group: float(np.abs(parts[:, groups == group].sum(axis=1)).mean())
        for group in (*GROUPS, OTHER)
        if (groups == group).any()
    }
    total = sum(moved.values())
    return {group: value / total if total > 0 else 0.0 for group, value in moved.items()}
