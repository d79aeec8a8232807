"""Gymnasium spaces of a batch."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from fundenv.batch.action_sizes import action_entries, grid_sizes
from fundenv.batch.cpu import Batch
from fundenv.settings.forms import KEEPER


def observation_space(batch: Batch) -> gym.spaces.Box:
    """Box (D,) float32 with the limits of the observation table."""
    low = np.array([column.low for column in batch.observation_table], dtype=np.float32)
    high = np.array([column.high for column in batch.observation_table], dtype=np.float32)
    return gym.spaces.Box(low, high, dtype=np.float32)


def action_space(
    batch: Batch,
) -> gym.spaces.Box | gym.spaces.MultiDiscrete | gym.spaces.Discrete[Any]:
    """`continuous`: Box [-1, 1]; `discrete`: MultiDiscrete of gate and grids; `target`: Box of
    physical limits: all repeat per asset, and the dial `keeper` has one entry after them.
    `indexed`: Discrete, one number for the decision on all assets (`Batch.decisions`).
    """
    config, assets = batch.config, batch.n_assets
    keeper = KEEPER in config.dials
    if batch.decisions is not None:
        return gym.spaces.Discrete(len(batch.decisions))
    sizes = grid_sizes(config, assets)
    if sizes is not None:
        return gym.spaces.MultiDiscrete(sizes)
    if config.actions == "target":
        low = np.tile(np.array([0.0, -1.0, 0.0, 1.0], dtype=np.float32), assets)
        high = np.tile(np.array([1.0, 1.0, 1.5, config.max_leverage], dtype=np.float32), assets)
        if keeper:
            low, high = np.append(low, np.float32(1.0)), np.append(high, np.float32(100.0))
        return gym.spaces.Box(low, high, dtype=np.float32)
    return gym.spaces.Box(-1.0, 1.0, (action_entries(config, assets),), dtype=np.float32)
