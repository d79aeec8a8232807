"""SAC by stable-baselines3 (the extra `sb3`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents.params import AgentError, Range
from agents.sb3.base import libraries
from agents.sb3.params import LearningParams
from agents.sb3.replay_file import KeepsReplay
from agents.sb3.zones import best_zones, zone_targets


@dataclass(frozen=True, kw_only=True)
class SACParams(LearningParams):
    """Parameters of SAC, on discrete actions (`agents.sb3.discrete_sac`) or on a Box of zones
    (`agents.sb3.zones`).
    """

    kind: Literal["discrete", "zones"] = "discrete"
    """Actions: discrete (agents/sb3/discrete_sac.py), or a Box of zones (agents/sb3/zones.py)."""
    n_envs: Annotated[int, Range(1, 65536, "environments")] = 256
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")] = 1024
    learning_rate: Annotated[float, Range(1e-7, 1)] = 1e-3
    gradient_steps: Annotated[int, Range(1, 1000, "updates")] = 2
    """Updates for each step of all environments."""
    buffer_size: Annotated[int, Range(1, 100_000_000, "steps")] = 500_000
    """Environment steps that the replay buffer keeps."""
    learning_starts: Annotated[int, Range(0, 10_000_000, "steps")] = 10_000
    """Environment steps of uniform exploration, at most a fifth of the training."""
    entropy: Annotated[float, Range(0, 100, "scaled reward")] = 0.002
    """Temperature; 0: the algorithm tunes it (zones only), but its entropy bonus then outweighs the
    carry.
    """
    explore: Annotated[float, Range(0, 1, "of actions")] = 0.1
    """Share of uniform actions in training."""
    tau: Annotated[float, Range(0, 1, "per update")] = 0.02
    """How fast the target networks follow. With a faster rate the values look less far ahead than a
    trade needs to pay its costs.
    """
    leverage_grid: Annotated[tuple[float, ...], Range(1, 125, "times")] = (2.0, 3.0)
    """Leverages to choose from, rising; zones use the first and the last."""
    act_by: Literal["actor", "critic"] = "critic"
    """Zones: which network chooses the greedy action."""
    sde: bool = False
    """Zones: noise as a function of the state (gSDE)."""
    sde_sample_freq: Annotated[int, Range(1, 4096, "steps")] = 8
    """With `sde`: number of steps of all environments, and of steps between updates, after which
    the weights of the noise are drawn anew.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.leverage_grid) != sorted(set(self.leverage_grid)):
            raise AgentError(f"leverage_grid = {self.leverage_grid!r} does not rise; sort it")
        if self.kind == "discrete" and self.sde:
            raise AgentError(
                "sde = True: discrete actions explore without an actor; set kind = 'zones'"
            )
        if self.kind == "discrete" and self.entropy == 0:
            raise AgentError(
                "entropy = 0 is the automatic temperature, which kind = 'discrete' lacks; give one"
                " above 0"
            )


class SAC(KeepsReplay):
    """SAC of stable-baselines3: chooses to hold, to be flat or to be invested, and a leverage.

    discrete: the critic rates every action, the policy is the softmax of the critic, and a greedy
    action is the critic's best. zones: SB3's SAC on a Box that is divided into zones; a greedy
    action is the actor's, or the candidate with the highest value of the critics.
    """

    name = "sac"
    parameters = SACParams
    params: SACParams
    step_cost = 2.0

    @property
    def _discrete(self) -> bool:
        return self.params.kind == "discrete"

    def look_up(self, batch: Any) -> None:
        """The number of assets, for the meaning of actions."""
        self.assets = batch.market.n_assets

    def wrap(self, venv: Any) -> Any:
        """The env with the actions of the model."""
        assets = venv.batch.market.n_assets
        if self._discrete:
            from agents.sb3.discrete_sac import Choices

            return Choices(venv, assets=assets, leverages=self.params.leverage_grid)
        from agents.sb3.wrappers import Zones

        return Zones(venv, assets=assets, leverage=self._leverage)

    @property
    def _leverage(self) -> tuple[float, float]:
        return self.params.leverage_grid[0], self.params.leverage_grid[-1]

    def algorithm(self) -> Any:
        """The class of the model."""
        libraries()
        if self._discrete:
            from agents.sb3.discrete_sac import SoftQ

            return SoftQ
        from agents.sb3.wrappers import ExploringSAC

        return ExploringSAC

    def build(self, env: Any, seed: int) -> Any:
        """A new model."""
        libraries()
        from agents.sb3.models import replay_model

        p = self.params
        own: dict[str, Any]
        if self._discrete:
            own = {
                "target_update_interval": 1,
                "exploration_initial_eps": p.explore,
                "exploration_final_eps": p.explore,
                "max_grad_norm": 10.0,
            }
        else:
            own = {"ent_coef": p.entropy or "auto_0.1", "use_sde": p.sde}
        # SB3 draws the weights at the start of every rollout
        lasts = p.sde_sample_freq if p.sde else 1
        model = replay_model(
            self,
            "MlpPolicy",
            env,
            seed,
            learning_starts=min(p.learning_starts, self.steps_wanted // 5),
            train_freq=lasts,
            gradient_steps=p.gradient_steps * lasts,
            policy_kwargs=self.policy_settings(env),
            **own,
        )
        model.explore, model.temperature = p.explore, p.entropy
        return model

    def log_interval(self) -> int:
        """SB3 counts finished episodes here."""
        return self.params.n_envs

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Target actions."""
        if (
            not self._discrete
            and deterministic
            and self.model is not None
            and self.params.act_by == "critic"
        ):
            return self.translated(best_zones([self.model], obs))
        return self.translated(super().act(obs, deterministic=deterministic))

    def translated(self, actions: NDArray[Any]) -> NDArray[np.float64]:
        """Target actions (n, A * 4) from actions of the model."""
        if not self._discrete:
            return zone_targets(actions, self._leverage)
        from agents.sb3.discrete_sac import choice_targets, choices

        return choice_targets(
            actions, choices(self.assets, self.params.leverage_grid), self.params.leverage_grid
        )

    def action_meaning(self) -> dict[str, Any]:
        """The kind of actions, the leverages, the network that chooses, and the unit of the
        critics' values: that of the training reward.
        """
        said = (
            "kind",
            "leverage_grid",
            "act_by",
            "reward",
            "reward_scale",
            "shaping",
            "gamma",
            "reward_clip",
            "liquidation_charge",
        )
        return super().action_meaning() | {name: getattr(self.params, name) for name in said}
