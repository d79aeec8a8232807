"""The policies of PPO and SAC on one capital, as stable-baselines3 builds and loads them.

Imported only when SB3 is needed.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.distributions import make_proba_distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn

from agents.sb3.portfolio.network import CLOSED, CoinNetwork, Layout, joined


class ActorAndCritic(nn.Module):
    """Two networks of their own, so that fitting the values does not move the policy."""

    def __init__(self, layout: Layout, hidden: int, levels: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.actor = CoinNetwork(layout, hidden, levels, 2 + bands)
        self.critic = CoinNetwork(layout, hidden, 0, 1)

    def forward(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, 2 + A L + B) and values (n, 1)."""
        return self.forward_actor(obs), self.forward_critic(obs)

    def forward_actor(self, obs: torch.Tensor) -> torch.Tensor:
        """Logits of the choices, then of the bands."""
        whole, coins, orders = self.actor(obs)
        closed = torch.full((), CLOSED, device=obs.device)
        return torch.cat([joined(whole[:, :2], coins, closed, orders), whole[:, 2:]], dim=1)

    def forward_critic(self, obs: torch.Tensor) -> torch.Tensor:
        """Values (n, 1)."""
        value: torch.Tensor = self.critic(obs)[0]
        return value


class PortfolioPolicy(ActorCriticPolicy):
    """PPO's policy: one head for the choice, one for the band of the keeper."""

    def __init__(
        self, *args: Any, layout: tuple[Any, ...], hidden: int, levels: int, bands: int, **more: Any
    ) -> None:
        self.shape: dict[str, Any] = {"layout": tuple(layout), "hidden": hidden, "levels": levels}
        self.shape |= {"bands": bands}
        super().__init__(*args, **more)

    def _build(self, lr_schedule: Any) -> None:
        shape = self.shape | {"layout": Layout(*self.shape["layout"])}
        self.mlp_extractor: Any = ActorAndCritic(**shape)
        self.action_net = nn.Identity()
        self.value_net = nn.Identity()  # type: ignore[assignment]
        self.to(self.device)
        kind: Any = self.optimizer_class
        self.optimizer = kind(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def fit(self, observation_space: Any, action_space: Any) -> None:
        """Take the spaces of an env with another number of coins."""
        self.observation_space, self.action_space = observation_space, action_space
        self.action_dist = make_proba_distribution(action_space)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | self.shape


class ChoiceValues(QNetwork):
    """Values of all choices (n, 2 + A L). A coin that takes no order is worth what staying is,
    because that is what the env does.
    """

    def __init__(self, *args: Any, shape: dict[str, Any], **more: Any) -> None:
        super().__init__(*args, **more)
        self.q_net: Any = CoinNetwork(Layout(*shape["layout"]), shape["hidden"], shape["levels"], 2)

    def forward(self, obs: Any) -> torch.Tensor:
        """Values (n, 2 + A L)."""
        whole, coins, orders = self.q_net(self.extract_features(obs, self.features_extractor))
        return joined(whole, coins, whole[:, :1, None], orders)


class PortfolioQPolicy(DQNPolicy):
    """SAC's policy: the softmax of the values, greedy on them."""

    def __init__(
        self, *args: Any, layout: tuple[Any, ...], hidden: int, levels: int, **more: Any
    ) -> None:
        self.shape: dict[str, Any] = {"layout": tuple(layout), "hidden": hidden, "levels": levels}
        super().__init__(*args, **more)

    def make_q_net(self) -> QNetwork:
        """The values."""
        own = self._update_features_extractor(self.net_args, features_extractor=None)
        return ChoiceValues(shape=self.shape, **own).to(self.device)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return super()._get_constructor_parameters() | self.shape
