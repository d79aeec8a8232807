"""What the loops of all clients share: short episodes of which the end is known."""

from __future__ import annotations

from typing import Any

MODULE_ID = "fundenv:fundenv/FundingHedge-v0"
DISCRETE_ID = "fundenv:fundenv/FundingHedge-Discrete-v0"
LENGTH = 6  # decisions of an episode of two days
EPISODE: dict[str, Any] = {"episode": "2D"}


def check_ends(terminated: Any, truncated: Any, length: int = LENGTH, first: int = 0) -> None:
    """Flags of steps in a row: nothing is terminated, every `length`-th step is truncated and no
    other. `first` is the number of the first step within its episode.
    """
    flags = [bool(flag) for flag in truncated]
    assert not any(bool(flag) for flag in terminated)
    assert flags == [(first + k + 1) % length == 0 for k in range(len(flags))]
    assert any(flags)
