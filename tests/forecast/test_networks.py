"""The networks compute what they are said to."""

from __future__ import annotations

import torch
from torch.nn import functional

from fundenv.forecast.networks.base import WINDOW
from fundenv.forecast.networks.tcn import Convolutions


def test_the_convolutions_are_the_dilated_ones() -> None:
    """With the same weights, five causal convolutions dilated by 1, 2, 4, 8 and 16 over the whole
    window give the same number at its end.
    """
    torch.manual_seed(0)
    net = Convolutions(inputs=3, units=8)
    torch.nn.init.normal_(net.head.mixed[-1].weight)
    window, inputs = torch.randn(20, WINDOW), torch.randn(20, 3)
    x = window[:, None, :]
    for layer, dilation in zip(net.layers, (1, 2, 4, 8, 16), strict=True):
        before = x
        padded = functional.pad(x, (2 * dilation, 0))
        x = functional.gelu(functional.conv1d(padded, layer.weight, layer.bias, dilation=dilation))
        x = x + before if before.shape[1] == x.shape[1] else x
    torch.testing.assert_close(net(window, inputs), net.head(x[:, :, -1], inputs))
