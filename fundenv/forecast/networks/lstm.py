"""A recurrent network with long short-term memory."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from fundenv.forecast.networks.base import WINDOW, Network
from fundenv.forecast.networks.head import Head

_DAY = 3  # settlements of one step of the recurrence


class _Net(nn.Module):
    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_DAY, units, batch_first=True)
        self.head = Head(units, inputs, units)

    def forward(self, window: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        days = window.reshape(len(window), WINDOW // _DAY, _DAY)
        state = self.lstm(days)[1][0][-1]
        out: torch.Tensor = self.head(state, inputs)
        return out


class Lstm(Network):
    """One layer of long short-term memory (Hochreiter and Schmidhuber, 1997) over the window, with
    three settlements in each step.
    """

    name: ClassVar[str] = "lstm"

    def build(self, inputs: int) -> nn.Module:
        """The recurrent layer and the head."""
        return _Net(inputs, self.params.units)
