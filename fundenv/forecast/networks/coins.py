"""An embedding of the coins: numbers that a network learns for each coin of its training span."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from fundenv.forecast.history import Array


def one_hot(symbol: str, coins: Sequence[str], n: int) -> Array:
    """(n, C) one-hot rows of a coin; a coin that was not learned has 1 / C in each column."""
    row = np.array([float(symbol == coin) for coin in coins])
    if coins and not row.any():
        row[:] = 1.0 / len(coins)
    return np.tile(row, (n, 1))


class WithCoin(nn.Module):
    """A network whose last inputs are the embedding of the coin."""

    def __init__(self, net: nn.Module, coins: int, size: int) -> None:
        super().__init__()
        self.net = net
        self.coins = coins
        self.embed = nn.Linear(coins, size, bias=False)

    def forward(self, window: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """(n, H) from (n, WINDOW) and (n, inputs + C), of which the last C are `one_hot`."""
        own, coin = inputs[:, : -self.coins], inputs[:, -self.coins :]
        out: torch.Tensor = self.net(window, torch.cat([own, self.embed(coin)], dim=1))
        return out
