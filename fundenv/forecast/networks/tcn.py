"""A temporal convolutional network: causal, dilated convolutions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from fundenv.forecast.networks.base import Head, Network

_KERNEL = 3
_DILATIONS = (1, 2, 4, 8, 16)  # together they see 63 settlements


class _Net(nn.Module):
    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        sizes = [1, *[units] * len(_DILATIONS)]
        self.layers = nn.ModuleList(
            nn.Conv1d(sizes[i], sizes[i + 1], _KERNEL, dilation=dilation)
            for i, dilation in enumerate(_DILATIONS)
        )
        self.head = Head(units, inputs, units)

    def forward(self, window: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        x = window[:, None, :]
        for layer, dilation in zip(self.layers, _DILATIONS, strict=True):
            before = x
            x = functional.gelu(layer(functional.pad(x, ((_KERNEL - 1) * dilation, 0))))
            x = x + before if before.shape[1] == x.shape[1] else x
        out: torch.Tensor = self.head(x[:, :, -1], inputs)
        return out


class Tcn(Network):
    """Five dilated causal convolutions over the window (Bai, Kolter and Koltun, 2018)."""

    name: ClassVar[str] = "tcn"

    def build(self, inputs: int) -> nn.Module:
        """The convolutions and the head."""
        return _Net(inputs, self.params.units)
