"""A temporal convolutional network: causal, dilated convolutions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from fundenv.forecast.networks.base import Network
from fundenv.forecast.networks.head import Head

_KERNEL = 3
_LAYERS = 5  # dilated by 1, 2, 4, 8, 16: the last output depends on 63 settlements


class Convolutions(nn.Module):
    """Convolutions with a stride of 2, which compute the newest output of dilated ones.

    Only that output is needed, and it depends on every second position of the layer below. So both
    give the same number; strides cost a sixth (63, 31, 15, 7, 3, 1 positions instead of 63 each).
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        sizes = [1, *[units] * _LAYERS]
        self.layers = nn.ModuleList(
            nn.Conv1d(sizes[i], sizes[i + 1], _KERNEL, stride=2) for i in range(_LAYERS)
        )
        self.head = Head(units, inputs, units)

    def forward(self, window: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """(n, H) from (n, WINDOW) and (n, inputs)."""
        x = window[:, None, :]
        for layer in self.layers:
            before = x[:, :, _KERNEL - 1 :: 2]
            x = functional.gelu(layer(x))
            x = x + before if before.shape[1] == x.shape[1] else x
        out: torch.Tensor = self.head(x[:, :, -1], inputs)
        return out


class Tcn(Network):
    """Five dilated causal convolutions over the window (Bai, Kolter and Koltun, 2018)."""

    name: ClassVar[str] = "tcn"

    def build(self, inputs: int) -> nn.Module:
        """The convolutions and the head."""
        return Convolutions(inputs, self.params.units)
