"""What every stable-baselines3 agent shares; the library (the extra `sb3`) is imported when a model
is made, not before.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from numpy.typing import NDArray

from agents.base import Learner, TrainingCallback
from agents.params import AgentError, Params, Range
from agents.training.augmentation import with_crashes, with_smooth_basis
from agents.training.params import TrainingParams
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


@dataclass(frozen=True, kw_only=True)
class LearningParams(TrainingParams):
    """What PPO and SAC share; the learning rate falls linearly to 0 over the training."""

    spans = (*TrainingParams.spans, ("fee_low", "fee_high"), ("funding_low", "funding_high"))

    shaping: bool = True
    """The hindsight potential is added to the training reward
    (agents/training/hindsight_potential.py).
    """
    fee_low: Annotated[float, Range(0.01, 100, "of the venue's fees")] = 0.5
    """Lowest fees of the training; those of the environments lie evenly, on a log scale, between it
    and `fee_high`.
    """
    fee_high: Annotated[float, Range(0.01, 100, "of the venue's fees")] = 2.0
    """Highest fees of the training."""
    funding_low: Annotated[float, Range(0.01, 10, "of the recorded funding")] = 0.25
    """Lowest factor on funding; those of the environments lie evenly, on a log scale, between it
    and `funding_high`.
    """
    funding_high: Annotated[float, Range(0.01, 10, "of the recorded funding")] = 1.25
    """Highest factor on funding."""
    funding_shift: Annotated[float, Range(0, 10, "bp per 8 h")] = 0.3
    """Largest shift of funding, up or down."""
    funding_share: Annotated[float, Range(0, 1, "of the environments")] = 0.7
    """Share that trains under such factors and shifts; the others see the recorded funding."""
    crash_share: Annotated[float, Range(0, 0.9, "of training episodes")] = 0.0
    """Share that begins 1 to 10 days before one of the 16 most volatile days; 0: all starts are
    random.
    """
    basis_span: Annotated[float, Range(0, 10_000, "bars")] = 0.0
    """Bars over which the basis of the training prices is averaged; 0: it stays as recorded."""
    observations: Literal["all", "carry"] = "carry"
    """What the policy sees: all observations, or those on which the value of a carry depends."""
    reward_scale: Annotated[float, Range(1e-6, 1e6, "times")] = 0.5
    """Multiplies the env's reward (1000 x net log growth) in training."""
    reward_clip: Annotated[float, Range(0, 1e6, "scaled reward")] = 10.0
    """Largest training reward of one step, either way; 0: no limit."""
    liquidation_charge: Annotated[float, Range(0, 1, "of equity")] = 0.0
    """Charged for every liquidation beyond `reward_clip`, as a price of risk; 0: none."""
    threads: Annotated[int, Range(1, 256, "threads")] = 1
    """Threads of the env's batch and of torch."""


NOT_FOR_CARRY = {
    "rsi",
    "volatility_1d",
    "volatility_30d",
    "return_1d",
    "return_3d",
    "return_7d",
    "return_14d",
    "volume_ratio",
    "spread_proxy",
    "spot_weight",
    "hedge_ratio",
    "accrued_funding",
    "idle_time",
    "liquidated",
    "target_hedge",
    "drawdown",
    "wallet_share",
}


def carry_columns(names: list[str]) -> list[int]:
    """Column numbers of the observations on which the value of a carry may depend: all but
    `NOT_FOR_CARRY`, so the policy sees a feature that the user's market adds.
    """
    return [i for i, name in enumerate(names) if name.split(":")[-1] not in NOT_FOR_CARRY]


class SB3Agent(Learner):
    """A stable-baselines3 model as an agent; the model's zip lies in the agent's folder."""

    params: LearningParams

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.model: Any = None
        self.snapshot: Any = (
            None  # of the collecting side, while a training is under way: agents/sb3/snapshot.py
        )
        # market, settings and terms of the training envs, for a warm start and for who knows the
        # future
        self.training_inputs: Any = None
        # path of that market that each path of the training envs is a part of; None: itself
        self.source_paths: Any = None

    def require(self) -> None:
        """The libraries."""
        libraries()

    def training_settings(self) -> dict[str, Any]:
        """Random episodes with the training reward."""
        return self.params.env_fields()

    def learn(
        self,
        market: Any,
        settings: dict[str, Any],
        *,
        steps: int,
        seed: int,
        callback: TrainingCallback | None = None,
    ) -> None:
        """Learn on `market` under `settings` (further `EnvConfig` fields) until `steps` environment
        steps are done in all.
        """
        torch, _ = libraries()
        from stable_baselines3.common.logger import Logger

        from agents.sb3.wrappers import ScalarWriter, StepCallback

        # small networks: more threads than one cost more than they bring
        torch.set_num_threads(self.params.threads)
        self.steps_wanted = steps
        env = self.training_env(market, settings, seed)
        try:
            if self.steps_done == 0:  # nor does one that was stopped in its first rollout go on
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
                hindsight(played, config, batch.venue, terms, p.gamma, of=of) if p.shaping else None
            )

        return walked, settings | {"per_env": terms._asdict()}, bound

    def act(self, obs: NDArray[Any], *, deterministic: bool = True) -> NDArray[Any]:
        """The model's actions, greedy or drawn."""
        if self.model is None:
            raise AgentError(
                f"agent {self.name} has not learned yet; train it or load a checkpoint"
            )
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
        if not (folder / MODEL).is_file():
            raise AgentError(
                f"{folder} holds no {MODEL}; the training stopped before its first checkpoint"
            )
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
