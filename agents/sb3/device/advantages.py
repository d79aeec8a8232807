"""Generalised advantages of a whole rollout as a loop of torch operations. Imported only when SB3
is needed.
"""

from __future__ import annotations

import torch
from torch import Tensor


def advantages(
    held: dict[str, Tensor], last: Tensor, ended: Tensor, gamma: float, gae_lambda: float
) -> None:
    """Write `advantages` and `returns` of `held` by GAE(lambda), backwards in time, as
    `RolloutBuffer.compute_returns_and_advantage` of SB3 does.

    Args:
        held: `rewards`, `starts`, `values`, `advantages`, `returns`, (T, n) float32 each; starts is
        1 where a step began an episode.
        last: values of the states after the rollout, (n,) float32.
        ended: 1 where the last step ended an episode, (n,) float32.
        gamma: discount a step. gae_lambda: weight of long returns.
    """
    carried = torch.zeros_like(last)
    following, going = last, 1.0 - ended
    for step in range(len(held["rewards"]) - 1, -1, -1):
        delta = held["rewards"][step] + gamma * following * going - held["values"][step]
        carried = delta + gamma * gae_lambda * going * carried
        held["advantages"][step].copy_(carried)
        following, going = held["values"][step], 1.0 - held["starts"][step]
    held["returns"].copy_(held["advantages"] + held["values"])
