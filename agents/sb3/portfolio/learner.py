"""What PPO and SAC share that steer margin carry on one capital: their training, the selection
after it, and acting with any number of coins.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.base import TrainingCallback, goes_on
from agents.margin.dials import DIALS, DialledCarry
from agents.params import AgentError, Params
from agents.rules.capital import OneCapital
from agents.sb3.base import SB3Agent, libraries
from agents.sb3.portfolio.params import OBSERVE, DialParams, coin_columns
from agents.training.augmentation import with_crashes, with_smooth_basis
from agents.training.randomisation import draw_borrowing, draw_terms
from fundenv.config import EnvConfig


class DialLearner(OneCapital, SB3Agent):
    """A learner that steers margin carry: at every decision it moves the rule's thresholds,
    notional, distance to liquidation, share of the capital at work, rebalancing and forecast.
    Untrained it is the rule, bit for bit. The same weights look at every coin, so it acts with any
    number of them.
    """

    any_coins = True
    params: DialParams

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.rule = DialledCarry.of(self.params.rule)
        self.width = 0
        # of a training: its env, the half-years for the selection, whether it learns from them, too
        self.paired: Any = None
        self.kept: Any = None
        self.seen_too = False
        self.learned: Any = ()  # weights of the last layer before the selection

    def env_settings(self) -> dict[str, Any]:
        """Targets on one capital; margin mode and venue are the user's."""
        return super().env_settings() | {"observe": OBSERVE}

    def look_up(self, batch: Any) -> None:
        """See `MarginCarry.look_up`."""
        self.rule.look_up(batch)
        self.width = len(batch.observation_table)
        if self.model is not None:
            self.fit()

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Forget the episodes of the environments in `mask` (n,), or all."""
        self.rule.reset(mask)

    def fit(self) -> None:
        """Let the networks take the number of coins of the env that the agent is bound to."""
        seen = spaces.Box(-np.inf, np.inf, (self.width,), np.float32)
        for module in self.model.policy.modules():
            if hasattr(module, "observation_space"):
                module.observation_space = seen

    def learn(
        self,
        market: Any,
        settings: dict[str, Any],
        *,
        steps: int,
        seed: int,
        callback: TrainingCallback | None = None,
    ) -> None:
        """Learn in the env, then keep what is better than the rule by one standard error."""
        done, begun = self.steps_done, time.perf_counter()
        super().learn(market, settings, steps=steps, seed=seed, callback=callback)
        if self.snapshot is not None or self.steps_done == done:
            return  # stopped, or nothing learned
        learned = time.perf_counter()
        told = {
            "time/env_and_rule": self.paired.seconds,
            "time/networks": learned - begun - self.paired.seconds,
        }
        if callback is not None and find_spec("captum") is not None:
            told |= self.attribution()
        if self.params.select:
            told |= self.select(settings, seed)
            told["time/selection"] = time.perf_counter() - learned
        if callback is not None:
            goes_on(callback, "update", callback.update(self.steps_done, told))

    def training_env(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """Pairs of accounts on the part of the market that is learned from."""
        from agents.sb3.portfolio.paired import Paired
        from agents.sb3.portfolio.selection import parts

        p = self.params
        settings = settings | self.training_settings() | self.env_settings()
        config = EnvConfig.from_dict(settings)
        terms = draw_terms(p, config, seed)._asdict() | draw_borrowing(p, config, seed)
        played, self.kept, self.seen_too = (
            parts(market, seed) if p.select else (market, None, False)
        )
        if p.basis_span:
            played = with_smooth_basis(played, p.basis_span)
        if p.crash_share:
            played = with_crashes(played, p.crash_share, 24.0 * p.episode_days).market
        self.paired = Paired(played, settings, terms, p, DialledCarry(self.rule.params), seed)
        self.bind(self.paired.batch)
        self.provenance = replace(self.provenance, market=market.hash)
        return self.paired

    def select(self, settings: dict[str, Any], seed: int) -> dict[str, float]:
        """Scale the learned dials to the strength that the kept half-years support; 0: the rule.
        Returns what to log.
        """
        from agents.sb3.portfolio.selection import CASH_RATES, SCALES, SUBSETS, judged, verdict

        settings = settings | self.training_settings() | self.env_settings()
        merit, error = judged(
            lambda obs, scale: self.squashed(scale * self.means(obs)),
            DialledCarry(self.rule.params),
            self.kept,
            settings,
            self.params,
            seed=seed,
        )
        halves = self.kept.n_paths
        walks = halves * SUBSETS * len(CASH_RATES)
        found = verdict(merit, error, halves, walks, self.seen_too)
        torch, _ = libraries()
        with torch.no_grad():
            self.learned = [weight.clone() for weight in self.last_layer().parameters()]
        self.scale(found.scale)
        self.verdict = found.words()
        told = {"selection/strength": found.scale, "selection/fallback": float(found.scale == 0)}
        for scale, value, off in zip(SCALES, merit, error, strict=True):
            told |= {
                f"selection/merit_at_{scale:g}": float(value),
                f"selection/error_at_{scale:g}": float(off),
            }
        return told

    def attribution(self) -> dict[str, float]:
        """Shares of the groups of inputs in what moves the dials, in the last observations of the
        training, to log.
        """
        from agents.sb3.portfolio.attribution import shares

        names = [column.name for column in self.paired.batch.observation_table]
        seen = self.paired.seen[: self.paired.num_envs]
        return {f"inputs/{name}": value for name, value in shares(self, seen, names).items()}

    def act(self, obs: NDArray[Any], *, deterministic: bool = True) -> NDArray[Any]:
        """The rule's decisions under the dials of this state, greedy or drawn."""
        if self.model is None:
            raise self.untrained()
        if not self.width:
            raise AgentError(f"agent {self.name} is bound to no env; call bind(env) first")
        self.rule.dials = self.dials(obs, deterministic=deterministic)
        actions = self.rule.act(obs)
        self.reasons = self.rule.reasons
        return actions

    def dials(self, obs: NDArray[Any], *, deterministic: bool = True) -> NDArray[np.float64]:
        """Numbers (n, K) of `agents.margin.dials.DIALS` within -1 and 1."""
        if deterministic:
            return self.squashed(self.means(obs))
        torch, _ = libraries()
        with torch.no_grad():
            return self.drawn(torch.as_tensor(np.asarray(obs, np.float32)))

    def means(self, obs: NDArray[Any]) -> NDArray[np.float64]:
        """What the last layer says (n, K), not yet limited."""
        torch, _ = libraries()
        with torch.no_grad():
            seen = torch.as_tensor(np.asarray(obs, np.float32), device=self.model.device)
            said: NDArray[np.float64] = self.last(seen).cpu().numpy().astype(np.float64)
        return said

    def shape(self, env: Any) -> dict[str, Any]:
        """Arguments of SB3's policy."""
        from agents.sb3.portfolio.dial_network import CoinFeatures
        from agents.sb3.portfolio.network import layout_of

        torch, _ = libraries()
        p = self.params
        layout = layout_of(
            env.batch.observation_table,
            env.batch.market.n_assets,
            lambda row: coin_columns(row, p.observations),
        )
        return {
            "features_extractor_class": CoinFeatures,
            "features_extractor_kwargs": {"layout": tuple(layout), "hidden": p.hidden},
            "share_features_extractor": False,
            "activation_fn": torch.nn.Tanh,
            "log_std_init": p.noise,
        }

    @abstractmethod
    def last_layer(self) -> Any:
        """The linear layer (K outputs) from which the dials come."""

    @abstractmethod
    def last(self, seen: Any) -> Any:
        """What that layer says (n, K) of observations, a tensor."""

    @abstractmethod
    def squashed(self, said: NDArray[np.float64]) -> NDArray[np.float64]:
        """What it says, limited to -1 .. 1."""

    @abstractmethod
    def drawn(self, seen: Any) -> NDArray[np.float64]:
        """Dials (n, K) with the noise of exploration."""

    def scale(self, factor: float) -> None:
        """Multiply what the last layer says; 0 makes the agent the rule."""
        torch, _ = libraries()
        with torch.no_grad():
            for weight in self.last_layer().parameters():
                weight.mul_(factor)

    def full_strength(self) -> None:
        """Act as before the selection, to study what it dropped."""
        torch, _ = libraries()
        with torch.no_grad():
            for weight, kept in zip(self.last_layer().parameters(), self.learned, strict=True):
                weight.copy_(kept)

    def extra(self) -> dict[str, Any]:
        """How far the training has come, and what the selection found."""
        return super().extra() | {"verdict": self.verdict}

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """The model, and what the selection found."""
        super().read(folder, record)
        self.verdict = record.get("verdict")

    def action_meaning(self) -> dict[str, Any]:
        """The rule and its dials, and the settings of the env."""
        own = {"rule": self.params.rule, "dials": [dial._asdict() for dial in DIALS]}
        return super().action_meaning() | own
