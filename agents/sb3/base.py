"""What every stable-baselines3 agent shares; the library (the extra `sb3`) is imported when a model
is made, not before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agents.base import TrainingCallback
from agents.params import AgentError, Params
from agents.sb3.params import LearningParams, carry_columns
from agents.training.augmentation import with_crashes, with_smooth_basis
from agents.training.learner import NetworkLearner
from agents.training.memory import keep_freed_memory
from agents.training.randomisation import draw_terms, hindsight
from fundenv.config import EnvConfig

MODEL, SNAPSHOT = "model.zip", "snapshot.pt"


def libraries() -> tuple[Any, Any]:
    """The modules torch and stable_baselines3; `AgentError` says how to install them."""
    try:
        import stable_baselines3
        import torch
    except ImportError as error:
        raise AgentError(
            f"the agents ppo and sac need stable-baselines3 ({error}); install it with: pip install"
            " 'fundenv[sb3]'"
        ) from None
    return torch, stable_baselines3


class SB3Agent(NetworkLearner):
    """A stable-baselines3 model as an agent; the model's zip lies in the agent's folder."""

    params: LearningParams
    model_file = MODEL
    decides_by_observations = True

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.model: Any = None
        # of the envs and random numbers of an unfinished training: agents/sb3/snapshot.py
        self.snapshot: Any = None
        # market, settings and terms of the training envs, for the warm start and for a critic that
        # sees the future
        self.training_inputs: Any = None
        # path of that market of which each path of the training envs is a part; None: itself
        self.source_paths: Any = None

    def require(self) -> None:
        """The libraries."""
        libraries()

    def learn(
        self,
        market: Any,
        settings: dict[str, Any],
        *,
        steps: int,
        seed: int,
        callback: TrainingCallback | None = None,
    ) -> None:
        """See `Learner.learn`."""
        torch, _ = libraries()
        from stable_baselines3.common.logger import Logger

        from agents.sb3.wrappers import ScalarWriter, StepCallback

        # small networks: more threads than one cost more than they bring
        torch.set_num_threads(self.params.threads)
        keep_freed_memory()
        self.steps_wanted = steps
        env = self.training_env(market, settings, seed)
        try:
            if self.steps_done == 0:  # also after a stop in the first rollout
                self.snapshot = None
                self.model = self.build(env, seed)
            else:
                self.model.set_env(env, force_reset=self.snapshot is None)
            writer = ScalarWriter(callback)
            self.model.set_logger(Logger(None, [writer]))
            if self.steps_done == 0 and not self.prepare(self.model, seed, callback):
                return  # stopped before its first step
            watching = StepCallback(writer, self)
            if self.snapshot is not None:
                self.snapshot.restore(self.model)
            done = self.model.num_timesteps
            if done < steps:
                self.model.learn(
                    steps - done,
                    callback=watching,
                    log_interval=self.log_interval(),
                    reset_num_timesteps=done == 0,
                )
            if not watching.stopped:
                self.snapshot, self.steps_done = None, self.model.num_timesteps
        finally:
            env.close()

    def training_env(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """The envs of the training: each has its own cash rate, fees and level of funding, and the
        reward is shaped.
        """
        from agents.sb3.wrappers import Shaped
        from fundenv.envs.sb3 import FundingHedgeVecEnv

        p = self.params
        walked, settings, bound = self.lay_out(market, settings, seed)
        venv = FundingHedgeVecEnv(p.n_envs, threads=p.threads, market=walked, **settings)
        potential = bound(venv.batch)
        return self.add_columns(
            Shaped(
                self.wrap(venv),
                p.reward_scale,
                p.gamma,
                potential,
                p.reward_clip,
                p.liquidation_charge,
            )
        )

    def lay_out(
        self, market: Any, settings: dict[str, Any], seed: int
    ) -> tuple[Any, dict[str, Any], Callable[[Any], Any]]:
        """(market that the training envs walk, their settings, function that binds the agent to
        their batch and gives its potential or None).
        """
        p = self.params
        settings = settings | self.training_settings() | self.env_settings()
        config = EnvConfig.from_dict(settings)
        terms = draw_terms(p, config, seed)
        played = with_smooth_basis(market, p.basis_span) if p.basis_span else market
        walked, of = (
            with_crashes(played, p.crash_share, 24.0 * p.episode_days)
            if p.crash_share
            else (played, None)
        )
        self.training_inputs, self.source_paths = (played, settings, terms), of

        def bound(batch: Any) -> Any:
            self.bind(batch)
            self.provenance = replace(self.provenance, market=market.hash)
            return (
                hindsight(played, config, batch.rulebook, terms, p.gamma, of=of)
                if p.shaping
                else None
            )

        return walked, settings | {"per_env": terms._asdict()}, bound

    def act(self, obs: NDArray[Any], *, deterministic: bool = True) -> NDArray[Any]:
        """The model's actions, greedy or drawn."""
        if self.model is None:
            raise self.untrained()
        actions: NDArray[Any] = self.model.predict(obs, deterministic=deterministic)[0]
        return actions

    def write(self, folder: Path) -> None:
        """The model's zip, and what an unfinished training needs to go on as if it had not
        stopped.
        """
        if self.model is None:
            return
        self.model.save(folder / MODEL)
        if self.snapshot is not None:
            self.snapshot.save(folder / SNAPSHOT)

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """The model, on the CPU."""
        self.check_model(folder)
        torch, _ = libraries()
        torch.set_num_threads(self.params.threads)
        from agents.sb3 import archive

        reader = archive.trusting(self)
        self.model = archive.read_model(folder / MODEL, self.algorithm(), reader)
        super().read(folder, record)
        if (folder / SNAPSHOT).is_file():
            from agents.sb3.snapshot import Snapshot

            self.snapshot = Snapshot(archive.read_torch(folder / SNAPSHOT, reader))

    def action_meaning(self) -> dict[str, Any]:
        """What an action of the model means: the settings of the env that it needs. An ensemble
        joins only agents with equal values.
        """
        return self.env_settings()

    def place(self) -> str:
        """The device of the networks."""
        return "cpu"

    def before_rollout(self, model: Any) -> None:
        """Called before each rollout, for what changes in the course of the training."""

    def policy_settings(self, env: Any) -> dict[str, Any]:
        """Arguments of the policy that both algorithms share."""
        from agents.sb3.wrappers import SelectedColumns

        torch, _ = libraries()
        p = self.params
        common = {"net_arch": [p.hidden, p.hidden], "activation_fn": torch.nn.Tanh}
        if p.observations == "all":
            return common
        columns = carry_columns([column.name for column in env.batch.observation_table])
        return common | {
            "features_extractor_class": SelectedColumns,
            "features_extractor_kwargs": {"columns": columns},
        }

    def wrap(self, venv: Any) -> Any:
        """The env as the model sees it."""
        return venv

    def add_columns(self, env: Any) -> Any:
        """The training env, with extra columns in its observations where the agent has any."""
        return env

    @abstractmethod
    def algorithm(self) -> Any:
        """The class of the model."""

    @abstractmethod
    def build(self, env: Any, seed: int) -> Any:
        """A new model."""

    def prepare(self, model: Any, seed: int, callback: TrainingCallback | None) -> bool:
        """Called once with a new model before it learns, for a warm start. Returns False where the
        callback has stopped it.
        """
        return True

    def log_interval(self) -> int:
        """SB3's `log_interval`: rollouts (PPO) or episodes (SAC) between rows of diagnostics."""
        return 1
