"""PPO whose rollouts stay in torch tensors on the environments' device."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from agents.params import AgentError, Range
from agents.sb3.base import libraries
from agents.sb3.device.base import OnDevice
from agents.sb3.ppo import PPO, PPOParams


@dataclass(frozen=True, kw_only=True)
class DevicePPOParams(PPOParams):
    """Parameters of PPO, and where it learns."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where it steps and learns."""
    engine: Literal["auto", "loop", "functions", "graph"] = "auto"
    """How rollout and update run: `loop` step by step as SB3 does; `functions` as one function for
    the rollout and one for the minibatch; `graph` as these functions captured in CUDA graphs, which
    needs device=cuda. `auto`: graph on cuda where the settings allow it, else loop.
    """
    look_every: Annotated[int, Range(1, 10_000, "rollouts")] = 4
    """Rollouts of `functions` and `graph` between two at which the host reads statistics; on the
    CPU it reads them after every rollout.
    """
    tf32: bool = True
    """Whether the networks of `functions` and `graph` may multiply in TF32 on a GPU."""

    def __post_init__(self) -> None:
        super().__post_init__()
        lack = self.no_functions()
        if self.engine in ("functions", "graph") and lack:
            raise AgentError(f"engine = {self.engine!r}: {lack}, or engine = 'loop'")
        if self.engine == "graph" and self.device != "cuda":
            raise AgentError(
                f"engine = 'graph' needs device = 'cuda', not {self.device!r}; on the CPU"
                " engine = 'functions' calls the same functions"
            )
        for option in ("residual", "critic"):
            if getattr(self, option) not in ("", "plain"):
                raise AgentError(
                    f"{option} = {getattr(self, option)!r} needs columns beside the observations,"
                    " which tensors do not have; use ppo"
                )

    def no_functions(self) -> str:
        """Why the rollout and the minibatch cannot be functions, with the remedy; empty where they
        can.
        """
        samples = self.n_envs * self.n_steps
        if samples % min(self.batch_size, samples):
            return (
                f"batch_size = {self.batch_size:,} does not divide the {samples:,} samples of a"
                " rollout; set one that does"
            )
        if self.n_steps % 2:
            return f"n_steps = {self.n_steps} is odd; set an even number"
        return "sde = True draws noise between the steps; set sde = False" if self.sde else ""

    def by_functions(self) -> bool:
        """Whether rollout and minibatch are functions."""
        if self.engine == "auto":
            return self.device == "cuda" and not self.no_functions()
        return self.engine != "loop"


class DevicePPO(OnDevice, PPO):
    """The recipe of `ppo` without a round trip through numpy: observations, actions, rewards and
    the rollout lie on one device.

    Same policies, losses and files as stable-baselines3: its `PPO.load` opens the checkpoint. On a
    GPU an interrupted training goes on with new episodes (on the CPU bit by bit, as `ppo` does).
    """

    name = "device_ppo"
    parameters = DevicePPOParams
    params: DevicePPOParams

    def algorithm(self) -> Any:
        """SB3's class with another way to collect."""
        libraries()
        if self.params.by_functions():
            from agents.sb3.device.graph_ppo import GraphPPO

            return GraphPPO
        from agents.sb3.device.rollout import TensorPPO

        return TensorPPO

    def training_env(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """As of `ppo`; says why `auto` took the loop on a GPU."""
        p = self.params
        if p.engine == "auto" and p.device == "cuda" and p.no_functions():
            warnings.warn(
                f"device_ppo does not train in CUDA graphs: {p.no_functions()}", stacklevel=2
            )
        return super().training_env(market, settings, seed)

    def build(self, env: Any, seed: int) -> Any:
        """A new model."""
        model = super().build(env, seed)
        self._tell(model)
        return model

    def before_rollout(self, model: Any) -> None:
        """As of `ppo`."""
        super().before_rollout(model)
        self._tell(model)

    def _tell(self, model: Any) -> None:
        """Hand the settings of the engine to the model, which may come from a file."""
        if self.params.by_functions():
            model.capture = self.params.engine != "functions"
            model.look_every = self.params.look_every if self.place() != "cpu" else 1
            model.tf32 = self.params.tf32
