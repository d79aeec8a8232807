"""Margin carry with learned parameters, as a learner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Learner, TrainingCallback, goes_on
from agents.margin.episodes import Episodes, merits
from agents.margin.params import LearnedMarginParams, start
from agents.margin.rule import DIALS, SHAPE, LearnedMarginCarry
from agents.params import Params
from agents.rules.capital import OneCapital
from agents.training.augmentation import with_crashes
from agents.training.coordinate_search import CoordinateSearch
from agents.training.randomisation import draw_borrowing, draw_terms
from fundenv.config import EnvConfig

WEIGHTS = "weights.npz"


class LearnedMargin(OneCapital, Learner):
    """Margin carry whose parameters are learned for every coin and state. Untrained it equals the
    rule to the bit. The same weights serve every coin, so it acts with any number of coins.
    """

    name = "learned_margin"
    parameters = LearnedMarginParams
    params: LearnedMarginParams
    step_cost = 0.1
    any_coins = True

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.rule = LearnedMarginCarry(start(self.params.rule))
        self.search: CoordinateSearch | None = None

    @property
    def weights(self) -> NDArray[np.float64]:
        """(dials, inputs); zero: the rule."""
        return np.asarray(self.rule.weights[0])

    def training_settings(self) -> dict[str, Any]:
        """The env settings of the training: the reward is the growth of the account."""
        return {"reward": "log_growth"}

    def look_up(self, batch: Any) -> None:
        """See `MarginCarry.look_up`."""
        self.rule.look_up(batch)

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget the episodes of the environments in `mask` (n,), or all."""
        self.rule.reset(mask)

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The rule's decisions under the parameters of this state."""
        actions = self.rule.act(obs)
        self.reasons = self.rule.reasons
        return actions

    def learn(
        self,
        market: Any,
        settings: dict[str, Any],
        *,
        steps: int,
        seed: int,
        callback: TrainingCallback | None = None,
    ) -> None:
        """Search in rounds. A round that was stopped is run again from its start."""
        p, self.steps_wanted = self.params, steps
        if self.search is None:
            size = len(DIALS) if p.constant else SHAPE[0] * SHAPE[1]
            self.search = CoordinateSearch(size, probe=p.probe)
        search = self.search
        settings = settings | self.training_settings() | self.env_settings()
        config = EnvConfig.from_dict(settings)
        terms = draw_terms(p, config, seed)._asdict() | draw_borrowing(p, config, seed)
        walked = market
        if p.crash_share:
            walked = with_crashes(market, p.crash_share, 24.0 * p.episode_days).market
        rule = LearnedMarginCarry(self.rule.params)
        episodes = Episodes(walked, settings, terms, p, 2 + 2 * len(search.centre), rule)
        self.bind(episodes.batch)
        self.provenance = replace(self.provenance, market=market.hash)
        while self.steps_done < steps:
            if not self._round(episodes, search, seed, callback):
                break
        episodes.batch.close()

    def _round(
        self,
        episodes: Episodes,
        search: CoordinateSearch,
        seed: int,
        callback: TrainingCallback | None,
    ) -> bool:
        """Run one round and update the weights; False where the callback stops the training."""
        p, done, each = self.params, self.steps_done, episodes.batch.num_envs

        def tell(number: int) -> bool:
            if callback is None:
                return True
            asked = callback.step(done + (number + 1) * each, episodes.batch)
            return goes_on(callback, "step", asked)

        tries = np.stack([np.zeros(len(search.centre)), search.centre])
        tries = np.concatenate([tries, search.tries()])
        rng = np.random.default_rng([seed, 0x3A, search.rounds])
        played = episodes.play(self._spread(tries), rng, tell)
        if played is None:
            return False
        merit = merits(played, p)
        left = max(0.0, 1 - done / self.steps_wanted)
        sure = search.learn(merit[2:], p.learning_rate * left, p.pull)
        self.steps_done = done + episodes.steps
        self.rule.weights = self._spread(search.centre[None]).reshape(1, *SHAPE)
        told = {
            "search/merit": float(merit[1].mean()),
            "search/merit_of_the_tries": float(merit[2:].mean()),
            "search/growth": float(played.growth[1].mean()),
            "search/growth_of_the_rule": float(played.growth[0].mean()),
            "search/deepest_fall": float(played.fall[1].max()),
            "search/deepest_fall_of_the_rule": float(played.fall[0].max()),
            "search/liquidations": float(played.liquidations[1].sum()),
            "search/clear_differences": float((np.abs(sure) > 3.0).sum()),
        }
        return callback is None or goes_on(
            callback, "update", callback.update(self.steps_done, told)
        )

    def _spread(self, tries: NDArray[np.float64]) -> NDArray[np.float64]:
        """All weights (C, K F) of the tries."""
        if not self.params.constant:
            return tries
        weights = np.zeros((len(tries), *SHAPE))
        weights[:, :, 0] = tries
        return weights.reshape(len(tries), -1)

    def write(self, folder: Path) -> None:
        """Write the weights, and the state of the search, with which a training continues."""
        state = {} if self.search is None else self.search.state()
        np.savez(folder / WEIGHTS, weights=self.rule.weights, **state)

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """Read the weights."""
        super().read(folder, record)
        with np.load(folder / WEIGHTS, allow_pickle=False) as file:
            self.rule.weights = file["weights"]
            if "centre" in file:
                p = self.params
                size = len(file["centre"])
                self.search = CoordinateSearch(size, probe=p.probe)
                self.search.restore(file)
