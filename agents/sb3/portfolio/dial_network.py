"""What the policies that steer a rule see: one context of any number of coins, which does not
depend on their order, as a features extractor of stable-baselines3.

Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from agents.sb3.portfolio.network import CoinContext, Layout


class CoinFeatures(BaseFeaturesExtractor):
    """The context (n, hidden) of observations (n, D) of any number of coins."""

    def __init__(self, observation_space: Any, layout: tuple[Any, ...], hidden: int) -> None:
        super().__init__(observation_space, hidden)
        self.network = CoinContext(Layout(*layout), hidden)

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(n, D) to (n, hidden)."""
        return self.network.look(observations)[0]
