"""Parameters that PPO and SAC of stable-baselines3 share, and the observations that they see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from agents.params import Range
from agents.training.params import TrainingParams


@dataclass(frozen=True, kw_only=True)
class LearningParams(TrainingParams):
    """What PPO and SAC share; the learning rate falls linearly to 0 over the training."""

    spans = (*TrainingParams.spans, ("fee_low", "fee_high"), ("funding_low", "funding_high"))

    shaping: bool = True
    """The hindsight potential is added to the training reward
    (agents/training/hindsight_potential.py).
    """
    fee_low: Annotated[float, Range(0.01, 100, "of the venue's fees")] = 0.5
    """Lowest factor on fees in training; the environments have factors at equal steps, on a log
    scale, from it to `fee_high`.
    """
    fee_high: Annotated[float, Range(0.01, 100, "of the venue's fees")] = 2.0
    """Highest factor on fees in training."""
    funding_low: Annotated[float, Range(0.01, 10, "of the recorded funding")] = 0.25
    """Lowest factor on funding in training; the environments have factors at equal steps, on a log
    scale, from it to `funding_high`.
    """
    funding_high: Annotated[float, Range(0.01, 10, "of the recorded funding")] = 1.25
    """Highest factor on funding."""
    funding_shift: Annotated[float, Range(0, 10, "bp per 8 h")] = 0.3
    """Largest shift of funding, up or down."""
    funding_share: Annotated[float, Range(0, 1, "of the environments")] = 0.7
    """Share of the environments with such factors and shifts; the others have the recorded funding.
    """
    crash_share: Annotated[float, Range(0, 0.9, "of training episodes")] = 0.0
    """Share of the episodes that begin 1 to 10 days before one of the 16 most volatile days; 0: all
    starts are random.
    """
    basis_span: Annotated[float, Range(0, 10_000, "bars")] = 0.0
    """Bars over which the training averages the basis of the prices; 0: the recorded basis."""
    observations: Literal["all", "carry"] = "carry"
    """What the policy sees: all observations, or those on which the value of a carry depends."""
    reward_scale: Annotated[float, Range(1e-6, 1e6, "times")] = 0.5
    """Multiplies the env's reward (1000 x net log growth) in training."""
    reward_clip: Annotated[float, Range(0, 1e6, "scaled reward")] = 10.0
    """Largest training reward of one step, either way; 0: no limit."""
    liquidation_charge: Annotated[float, Range(0, 1, "of equity")] = 0.0
    """Charge for every liquidation, in addition to the clipped reward, as a price of risk; 0: none.
    """
    threads: Annotated[int, Range(1, 256, "threads")] = 1
    """Threads of the env's batch and of torch."""


NOT_FOR_CARRY = {
    "rsi",
    "volatility_1d",
    "volatility_30d",
    "return_1d",
    "return_3d",
    "return_7d",
    "return_14d",
    "volume_ratio",
    "spread_proxy",
    "spot_weight",
    "hedge_ratio",
    "accrued_funding",
    "idle_time",
    "liquidated",
    "target_hedge",
    "drawdown",
    "wallet_share",
}


def carry_columns(names: list[str]) -> list[int]:
    """Column numbers of the observations on which the value of a carry may depend: all but
    `NOT_FOR_CARRY`, so the policy sees a feature that the user's market adds.
    """
    return [i for i, name in enumerate(names) if name.split(":")[-1] not in NOT_FOR_CARRY]
