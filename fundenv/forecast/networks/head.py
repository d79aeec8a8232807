"""The last layers that the networks share."""

from __future__ import annotations

import torch
from torch import nn

from fundenv.forecast.history import HORIZONS


class Head(nn.Module):
    """From the features that a network computes of the window, and the inputs, to the forecasts of
    all horizons.
    """

    def __init__(self, features: int, inputs: int, units: int) -> None:
        super().__init__()
        self.direct = nn.Linear(inputs, len(HORIZONS))
        last = nn.Linear(units, len(HORIZONS))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mixed = nn.Sequential(nn.Linear(features + inputs, units), nn.GELU(), last)

    def forward(self, features: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """(n, H) from (n, features) and (n, inputs)."""
        mixed: torch.Tensor = self.mixed(torch.cat([features, inputs], dim=1))
        direct: torch.Tensor = self.direct(inputs)
        return direct + mixed
