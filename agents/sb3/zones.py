"""Continuous actions with a zone for `hold`: a Gaussian policy cannot repeat a number exactly, but
it can stay inside a zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.rules.actions import targets

EDGE = 1 / 3  # below -EDGE: off; above EDGE: full carry; between: hold


def zone_space(assets: int) -> spaces.Box:
    """Box (A * 2,) in [-1, 1]: per asset the gate, then the leverage."""
    return spaces.Box(-1.0, 1.0, (assets * 2,), np.float32)


def zone_targets(actions: NDArray[Any], leverage: tuple[float, float]) -> NDArray[np.float64]:
    """Target actions (n, A * 4) from zone actions (n, A * 2); leverage is read on a log scale
    between its two ends.
    """
    pairs = np.asarray(actions, np.float64).reshape(len(actions), -1, 2)
    gate, dial = pairs[..., 0], pairs[..., 1]
    low, high = leverage
    return targets(
        np.abs(gate) <= EDGE,
        np.where(gate > EDGE, 1.0, 0.0),
        leverage=low * (high / low) ** ((dial + 1) / 2),
    )


def candidates() -> NDArray[np.float32]:
    """The middles of the zones of one asset, (5, 2): hold, off, and full carry at three
    leverages.
    """
    return np.array([(0, 0), (-2 / 3, 0), (2 / 3, -2 / 3), (2 / 3, 0), (2 / 3, 2 / 3)], np.float32)


def best_zones(models: Sequence[Any], obs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Per asset the candidate with the highest mean Q of all critics of `models`, with `hold` for
    the other assets: (n, A * 2).
    """
    import torch

    best = np.zeros((len(obs), *models[0].action_space.shape), np.float32)
    with torch.no_grad():
        seen = torch.as_tensor(obs, device=models[0].device)
        for asset in range(best.shape[1] // 2):
            values = []
            for candidate in candidates():
                trial = best.copy()
                trial[:, 2 * asset : 2 * asset + 2] = candidate
                values.append(
                    sum(
                        q
                        for model in models
                        for q in model.critic(seen, torch.as_tensor(trial, device=seen.device))
                    )
                    .cpu()
                    .numpy()[:, 0]
                )
            best[:, 2 * asset : 2 * asset + 2] = candidates()[np.argmax(values, axis=0)]
    return best
