"""PPO on the env's continuous dials: a Gaussian for the carry and the leverage of every asset, in
place of discrete gates.

The env takes the output of the policy directly, so a saved model acts in any env with
`dial_settings`. There is no `hold`: the env gives no order while the target is within
`rebalance_band` of the position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from agents.params import AgentError, Params, Range


@dataclass(frozen=True, kw_only=True)
class ContinuousParams(Params):
    """Which actions PPO learns, and how a Gaussian explores."""

    kind: Literal["discrete", "continuous"] = "discrete"
    """Actions: entries of the two grids, or the env's continuous dials, whose ranges the two grids
    then give.
    """
    log_std_init: Annotated[float, Range(-10, 2, "log")] = -1.0
    """Continuous: log of the initial standard deviation of the Gaussian; with `sde` that of its
    weights.
    """
    sde: bool = False
    """Continuous: noise as a function of the state (gSDE; Raffin, Kober and Stulp, CoRL 2021)."""
    sde_sample_freq: Annotated[int, Range(-1, 4096, "steps")] = -1
    """Steps after which the weights of that noise are drawn anew; -1: at every rollout."""

    def __post_init__(self) -> None:
        super().__post_init__()
        p: Any = self
        if self.kind == "discrete":
            if self.sde:
                raise AgentError("sde = True needs continuous actions; set kind = 'continuous'")
            return
        for name, none in (("imitate", 0), ("counterfactual_rounds", 0), ("hold_back", False)):
            if getattr(p, name) != none:
                raise AgentError(
                    f"kind = 'continuous' has no gates that {name} = {getattr(p, name)!r} could"
                    f" start from; set {name} = {none}"
                )
        if max(p.carry_grid) != 1:
            raise AgentError(
                f"carry_grid = {p.carry_grid!r}: a continuous carry reaches up to 1; end it there"
            )


def dial_settings(params: Any) -> dict[str, Any]:
    """`EnvConfig` fields for continuous actions: carry from 0 (from -1 where `carry_grid` goes
    below 0) to 1, leverage from 1 to the highest of `leverage_grid`, or its only one; the hedge
    ratio stays at 1.
    """
    high = max(params.leverage_grid)
    fixed = {
        "actions": "continuous",
        "hedge": 1.0,
        "leverage": high,
        "allow_short_spot": min(params.carry_grid) < 0,
    }
    if len(set(params.leverage_grid)) == 1:
        return fixed | {"dials": ("carry",)}
    return fixed | {
        "dials": ("carry", "leverage"),
        "max_leverage": high,
        "leverage_grid": params.leverage_grid,
    }
