"""What every stable-baselines3 agent shares; the library (the extra `sb3`) is imported when a model is made, not before."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents._augment import at_levels
from agents.base import Learner, Watcher
from agents.params import AgentError, Params, Range
from fundenv.config import EnvConfig

MODEL = "model.zip"


def libraries() -> tuple[Any, Any]:
    """The modules torch and stable_baselines3; `AgentError` says how to install them."""
    try:
        import stable_baselines3
        import torch
    except ImportError as error:
        raise AgentError(f"the agents ppo and sac need stable-baselines3 ({error}); install it with: pip install 'fundenv[sb3]'") from None
    return torch, stable_baselines3


@dataclass(frozen=True, kw_only=True)
class LearningParams(Params):
    """What both learners share."""

    n_envs: Annotated[int, Range(1, 65536)]
    batch_size: Annotated[int, Range(1, 1_000_000)]
    learning_rate: Annotated[float, Range(1e-7, 1)]  # falls linearly to 0 over the training
    gamma: Annotated[float, Range(0, 1)] = 0.995  # discount per decision
    hidden: Annotated[int, Range(1, 4096)] = 64  # width of both hidden layers
    reward: Literal["log_growth", "mean_variance", "expected"] = "log_growth"  # of training only
    start_invested: Annotated[float, Range(0, 1)] = 0.5  # share of training episodes that begin with full carry
    episode_days: Annotated[int, Range(1, 3650)] = 90  # length of a training episode
    cash_low: Annotated[float, Range(-0.5, 1)] = -0.02  # the envs' cash rates lie evenly from here ...
    cash_high: Annotated[float, Range(-0.5, 1)] = 0.07  # ... to here, and further where the rate asked for lies outside
    funding_scales: Annotated[tuple[float, ...], Range(0, 10)] = (0.25, 0.4, 0.6, 0.8, 1.0, 1.25)  # levels of funding in training
    reward_scale: Annotated[float, Range(1e-6, 1e6)] = 0.1  # on the env's reward of 1000 x net log growth, in training
    threads: Annotated[int, Range(1, 256)] = 1  # of the env's batch and of torch


class SB3Agent(Learner):
    """A stable-baselines3 model as an agent; the model's zip lies in the agent's folder."""

    params: LearningParams

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.model: Any = None
        self.steps_wanted = 0

    def training_settings(self) -> dict[str, Any]:
        """Random episodes with the training reward."""
        p = self.params
        return {"reward": p.reward, "start_invested": p.start_invested, "episode": f"{p.episode_days}D", "random_start": True}

    def learn(self, market: Any, settings: dict[str, Any], *, steps: int, seed: int, watcher: Watcher | None = None) -> None:
        """Learn on `market` under `settings` (further `EnvConfig` fields) until `steps` environment steps are done in all."""
        torch, _ = libraries()
        from stable_baselines3.common.logger import Logger

        from agents._sb3_bridge import Forward, Looker, Scaled
        from fundenv.envs.sb3 import FundingHedgeVecEnv

        p = self.params
        settings = settings | self.training_settings() | self.env_settings()
        rate = EnvConfig.from_dict(settings).cash_rate
        settings["per_env"] = {"cash_rate": np.linspace(min(p.cash_low, rate), max(p.cash_high, rate), p.n_envs)}
        venv = FundingHedgeVecEnv(p.n_envs, threads=p.threads, market=at_levels(market, p.funding_scales), **settings)
        self.bind(venv.batch)
        self.provenance = replace(self.provenance, market=market.hash)
        self.steps_wanted = steps
        env = Scaled(self.wrap(venv), p.reward_scale)
        torch.set_num_threads(p.threads)  # small networks: more threads than one cost more than they bring
        try:
            if self.model is None:
                self.model = self.build(env, seed)
            else:
                self.model.set_env(env, force_reset=True)
            self.model.set_logger(Logger(None, [Forward(watcher)]))
            done = self.model.num_timesteps
            if done < steps:
                self.model.learn(
                    steps - done, callback=Looker(watcher, venv.batch), log_interval=self.log_interval(), reset_num_timesteps=done == 0
                )
        finally:
            self.steps_done = self.model.num_timesteps if self.model is not None else 0
            venv.close()

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The model's actions, greedy or drawn."""
        if self.model is None:
            raise AgentError(f"agent {self.name} has not learned yet; train it or load a checkpoint")
        actions: NDArray[Any] = self.model.predict(obs, deterministic=deterministic)[0]
        return actions

    def write(self, folder: Path) -> None:
        """The model's zip, by an atomic rename."""
        if self.model is None:
            return
        partial = folder / f".partial.{MODEL}"
        self.model.save(partial)
        partial.replace(folder / MODEL)

    def extra(self) -> dict[str, Any]:
        """How far the training has come."""
        return {"steps_done": self.model.num_timesteps if self.model is not None else 0, "steps_wanted": self.steps_wanted}

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """The model, on the CPU."""
        if not (folder / MODEL).is_file():
            raise AgentError(f"{folder} holds no {MODEL}; the training stopped before its first checkpoint")
        torch, _ = libraries()
        torch.set_num_threads(self.params.threads)
        self.model = self.algorithm().load(folder / MODEL, device="cpu")
        self.steps_done, self.steps_wanted = self.model.num_timesteps, record["steps_wanted"]

    def wrap(self, venv: Any) -> Any:
        """The env as the model sees it."""
        return venv

    @abstractmethod
    def algorithm(self) -> Any:
        """The class of the model."""

    @abstractmethod
    def build(self, env: Any, seed: int) -> Any:
        """A new model."""

    def log_interval(self) -> int:
        """How often SB3 hands out its diagnostics, in its own count."""
        return 1
