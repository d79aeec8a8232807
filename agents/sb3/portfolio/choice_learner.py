"""What PPO and SAC with counted choices on one capital share: their env, their training, and acting
with any number of coins.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.params import AgentError
from agents.sb3.base import SB3Agent, libraries
from agents.sb3.portfolio.choices import Choices
from agents.sb3.portfolio.params import ChoiceParams, coin_columns, env_settings
from agents.training.randomisation import draw_borrowing
from fundenv.config import EnvConfig


class ChoiceLearner(SB3Agent):
    """A learner on one capital. The same weights look at every coin, so what was trained with some
    coins acts with any other number of them, and with one.
    """

    any_coins = True
    params: ChoiceParams
    choices: Choices
    bands: tuple[float, ...] = (1.6,)  # of the learner: values of `keeper_up`

    def env_settings(self) -> dict[str, Any]:
        """Targets on one capital; margin mode and venue are the user's."""
        return env_settings()

    def look_up(self, batch: Any) -> None:
        """What the choices mean with the coins of this env."""
        self.choices = Choices(batch, self.params.levels, self.bands)
        if self.model is not None:
            self.fit()

    def fit(self) -> None:
        """Let the networks take the number of coins of the env that the agent is bound to."""

    def lay_out(
        self, market: Any, settings: dict[str, Any], seed: int
    ) -> tuple[Any, dict[str, Any], Callable[[Any], Any]]:
        """As every learner's, with other terms of borrowing in each env too."""
        walked, laid, bound = super().lay_out(market, settings, seed)
        config = EnvConfig.from_dict({k: v for k, v in laid.items() if k != "per_env"})
        borrowing = draw_borrowing(self.params, config, seed)
        self.training_inputs = (*self.training_inputs, borrowing)
        return walked, laid | {"per_env": laid["per_env"] | borrowing}, bound

    def training_env(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """As every learner's; the subsets of coins are drawn with the seed."""
        self.seed = seed
        return super().training_env(market, settings, seed)

    def add_columns(self, env: Any) -> Any:
        """The training env with decisions as numbers, where each episode shows some coins."""
        from agents.sb3.portfolio.env import Subsets

        return Subsets(
            env,
            self.choices,
            fewest=self.params.fewest_coins,
            seed=self.seed,
            action_space=self.space(),
        )

    @abstractmethod
    def space(self) -> spaces.Space[Any]:
        """The decisions of the model."""

    def shape(self, env: Any) -> dict[str, Any]:
        """Arguments of the policy that say how the networks are built."""
        from agents.sb3.portfolio.network import layout_of

        p, table = self.params, env.batch.observation_table
        layout = layout_of(
            table, self.choices.assets, lambda row: coin_columns(row, p.observations)
        )
        return {"layout": tuple(layout), "hidden": p.hidden, "levels": len(p.levels)}

    def act(self, obs: NDArray[Any], *, deterministic: bool = True) -> NDArray[Any]:
        """Target actions (n, 4 A + 1), greedy or drawn."""
        if self.model is None:
            raise self.untrained()
        if not hasattr(self, "choices"):
            raise AgentError(f"agent {self.name} is bound to no env; call bind(env) first")
        torch, _ = libraries()
        with torch.no_grad():
            seen = torch.as_tensor(np.asarray(obs, np.float32), device=self.model.device)
            choice, band = self.decide(seen, deterministic)
        actions = self.choices.targets(obs, choice, band)
        self.reasons = self.choices.reasons
        return actions

    @abstractmethod
    def decide(self, seen: Any, deterministic: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """(choices (n,), numbers of the bands (n,)) for observations (n, D), a tensor."""

    def action_meaning(self) -> dict[str, Any]:
        """The levels and bands, and the settings of the env."""
        return super().action_meaning() | {"levels": self.params.levels, "bands": self.bands}
