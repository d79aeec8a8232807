"""A transformer over patches of the window."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from fundenv.forecast.errors import ForecastError
from fundenv.forecast.networks.base import WINDOW, Network
from fundenv.forecast.networks.head import Head

_PATCH = 9  # settlements, three days
_HEADS = 4


class _Net(nn.Module):
    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.embed = nn.Linear(_PATCH, units)
        self.place = nn.Parameter(torch.zeros(1, WINDOW // _PATCH, units))
        self.layer = nn.TransformerEncoderLayer(
            units, _HEADS, 2 * units, dropout=0.1, batch_first=True, norm_first=True
        )
        self.head = Head(units * (WINDOW // _PATCH), inputs, units)

    def forward(self, window: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        patches = window.reshape(len(window), WINDOW // _PATCH, _PATCH)
        x = self.layer(self.embed(patches) + self.place)
        out: torch.Tensor = self.head(x.flatten(1), inputs)
        return out


class PatchTransformer(Network):
    """One encoder layer over patches of nine settlements (Nie et al., "A time series is worth 64
    words", ICLR 2023).
    """

    name: ClassVar[str] = "transformer"

    def build(self, inputs: int) -> nn.Module:
        """The patches, one encoder layer and the head."""
        if self.params.units % _HEADS:
            raise ForecastError(
                f"forecaster transformer: units = {self.params.units}; give a multiple of {_HEADS}"
            )
        return _Net(inputs, self.params.units)
