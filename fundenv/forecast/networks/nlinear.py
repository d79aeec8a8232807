"""NLinear: one linear layer on the window less its last value."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from fundenv.forecast.base import HORIZONS
from fundenv.forecast.networks.base import WINDOW, Network


class _Net(nn.Module):
    def __init__(self, inputs: int, keep: float) -> None:
        super().__init__()
        self.keep = keep  # share of the last rate that is added again
        self.window = nn.Linear(WINDOW, len(HORIZONS))
        self.inputs = nn.Linear(inputs, len(HORIZONS), bias=False)
        for layer in (self.window, self.inputs):
            nn.init.zeros_(layer.weight)

    def forward(self, window: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        last = window[:, -1:]
        out: torch.Tensor = self.keep * last + self.window(window - last) + self.inputs(inputs)
        return out


class NLinear(Network):
    """One linear layer on the window less its last rate, which is added again (Zeng et al., "Are
    transformers effective for time series forecasting?", AAAI 2023), and one on the inputs.
    """

    name: ClassVar[str] = "nlinear"

    def build(self, inputs: int) -> nn.Module:
        """The two layers. All weights are 0, so the first forecast is no change, or with `residual`
        that of clipped HAR.
        """
        return _Net(inputs, 0.0 if self.params.residual else 1.0)
