"""Extra columns in the observations, and the policy that reads them: the answer of a rule, for
actor and critic, and what only the critic may know.

Such a model observes [the env's columns | the rule's answer | what the critic knows]. The actor
does not read the last part, so a saved model acts where nobody knows it: the agent puts zeros
there. Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from agents.base import batch_of
from agents.sb3.wrappers import SelectedColumns
from agents.training.privileged_critic import LIMIT

Array = NDArray[np.float32]


class Source(Protocol):
    """A source of extra columns; see `agents.training.residual.Advice`."""

    width: int

    def begin(self, obs: Array) -> Array:
        """Columns (n, width) of the first observations."""

    def follow(self, obs: Array, ends: Array, ended: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Columns (n, width) of the observations and of the last observations of ended episodes."""

    def state(self) -> dict[str, Any]:
        """Copies of what the next columns depend on."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""


class ExtraColumns(VecEnvWrapper):
    """The training env with the columns of its sources to the right of the observations, also in
    the last observation of a truncated episode.
    """

    def __init__(self, venv: VecEnv, sources: list[Source]) -> None:
        seen: Any = venv.observation_space
        edge = np.full(sum(source.width for source in sources), LIMIT, np.float32)
        super().__init__(
            venv,
            observation_space=spaces.Box(
                np.append(seen.low, -edge), np.append(seen.high, edge), dtype=np.float32
            ),
        )
        self.sources, self.batch = sources, batch_of(venv)

    def reset(self) -> VecEnvObs:
        """First observations."""
        obs: Any = self.venv.reset()
        return np.concatenate([obs, *(source.begin(obs) for source in self.sources)], axis=1)

    def step_wait(self) -> VecEnvStepReturn:
        """What the env answers."""
        obs: Any
        obs, rewards, dones, infos = self.venv.step_wait()
        ends = np.where(dones[:, None], self.batch.final_obs, obs) if dones.any() else obs
        now, last = zip(*(source.follow(obs, ends, dones) for source in self.sources), strict=True)
        for i in np.flatnonzero(dones):
            infos[i]["terminal_observation"] = np.concatenate(
                [ends[i], *(columns[i] for columns in last)]
            )
        return np.concatenate([obs, *now], axis=1), rewards, dones, infos

    def state(self) -> dict[str, Any]:
        """Copies of what the next step depends on, that of the env within included."""
        inner: Any = self.venv
        return {"env": inner.state(), "sources": [source.state() for source in self.sources]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.venv.restore(state["env"])  # type: ignore[attr-defined]
        for source, kept in zip(self.sources, state["sources"], strict=True):
            source.restore(kept)


class PaddedColumns(SelectedColumns):
    """`SelectedColumns` for observations that may lack the columns of the critic: zeros replace
    them.
    """

    def __init__(self, observation_space: Any, columns: list[int]) -> None:
        super().__init__(observation_space, columns)
        self.width = int(observation_space.shape[0])

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """(n, D) or fewer columns to (n, chosen)."""
        return super().forward(
            torch.nn.functional.pad(observations, (0, self.width - observations.shape[1]))
        )


class SplitNetworks(torch.nn.Module):
    """Two networks on features [seen | known]: the actor reads `seen`, the critic reads both. The
    last `rule` columns of `seen` also bypass the actor's network, so that the layer of the logits
    can weigh them directly.
    """

    def __init__(self, features: int, rule: int, known: int, **nets: Any) -> None:
        super().__init__()
        self.seen, self.rule = features - known, rule
        self.actor, self.critic = MlpExtractor(self.seen, **nets), MlpExtractor(features, **nets)
        # the halves that nobody asks
        self.actor.value_net, self.critic.policy_net = (
            torch.nn.Sequential(),
            torch.nn.Sequential(),
        )
        self.latent_dim_pi, self.latent_dim_vf = (
            self.actor.latent_dim_pi + rule,
            self.critic.latent_dim_vf,
        )

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents of the actor and of the critic."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """(n, features) to (n, latent_dim_pi)."""
        seen = features[:, : self.seen]
        return torch.cat([self.actor.forward_actor(seen), seen[:, self.seen - self.rule :]], dim=1)

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        """(n, features) to (n, latent_dim_vf)."""
        return self.critic.forward_critic(features)


class ExtraColumnsPolicy(ActorCriticPolicy):
    """SB3's policy on `rule` columns of a rule's answer and `known` columns for the critic alone,
    which end the observations in this order.
    """

    def __init__(self, *args: Any, rule: int = 0, known: int = 0, **settings: Any) -> None:
        self.rule, self.known = rule, known
        super().__init__(*args, **settings)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor: Any = SplitNetworks(
            self.features_dim,
            self.rule,
            self.known,
            net_arch=self.net_arch,
            activation_fn=self.activation_fn,
            device=self.device,
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | {"rule": self.rule, "known": self.known}
