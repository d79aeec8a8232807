"""Every choice by name, in the order of the numbers that the kernel knows them by: one table for
settings, venue files and rules.
"""

from __future__ import annotations

import typing
from typing import Any, Literal

# settings of the env
MarginMode = Literal["isolated", "cross", "portfolio"]
# the kernel steps `indexed` actions as rows of `discrete` ones
Actions = Literal["continuous", "discrete", "target", "indexed"]
Capital = Literal["parts", "shared"]
FeeTier = Literal["base", "high"]
AfterLiquidation = Literal["flatten", "rehedge", "naked"]
KeeperWatches = Literal["wallet", "equity"]
Reward = Literal["log_growth", "mean_variance", "expected"]
Autoreset = Literal["disabled", "next_step", "same_step"]

# rules of a venue file
Contract = Literal["linear", "inverse"]
Procedure = Literal["whole", "tier", "two_tiers", "fifth"]


def names(choice: Any) -> tuple[str, ...]:
    """The names of a choice; the place of a name is its number."""
    return typing.get_args(choice)


def codes(choice: Any) -> range:
    """The numbers of a choice, to be unpacked into as many constants."""
    return range(len(names(choice)))
