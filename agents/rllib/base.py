"""What both RLlib learners share; Ray (the extra `rllib`) is imported when a training begins, not
before.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import TrainingCallback, goes_on
from agents.params import AgentError, Params, Range
from agents.training.learner import NetworkLearner
from agents.training.params import TrainingParams
from fundenv.config import EnvConfig

# the network, which is all that acting needs; and what a training needs to go on
MODEL, STATE = ("module.pt", "algorithm.pt")
STORE = 200_000_000  # bytes of the object store of a Ray that is started here
POLICY = "default_policy"  # RLlib's name for the only one


def libraries() -> tuple[Any, Any]:
    """The modules torch and ray; `AgentError` says how to install them."""
    try:
        import ray
        import ray.rllib
        import torch
    except ImportError as error:
        raise AgentError(
            f"the agents rllib_ppo and rllib_sac need RLlib ({error}); install it with: pip install"
            " 'fundenv[rllib]'"
        ) from None
    return torch, ray


@dataclass(frozen=True, kw_only=True)
class RLlibParams(TrainingParams):
    """Parameters that both learners share; those with the name of a parameter of ppo or sac mean
    the same.
    """

    n_envs: Annotated[int, Range(1, 65536, "environments")] = 64
    """Environments of each runner."""
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")] = 512
    learning_rate: Annotated[float, Range(1e-7, 1)] = 1e-3
    decay_steps: Annotated[int, Range(0, 10_000_000_000, "steps")] = 0
    """Environment steps over which the learning rate of PPO falls to 0; 0: the steps asked for."""
    funding_scales: Annotated[tuple[float, ...], Range(0, 10, "of the recorded funding")] = (
        0.25,
        0.4,
        0.6,
        0.8,
        1.0,
        1.25,
    )
    """Factors on funding in training."""
    reward_scale: Annotated[float, Range(1e-6, 1e6, "times")] = 0.1
    """Multiplies the env's reward (1000 x net log growth) in training."""
    runners: Annotated[int, Range(0, 10_000, "processes")] = 2
    """Processes that collect steps; 0: the driver does."""
    address: str = ""
    """Address of a running Ray cluster, "auto" for one on this machine; empty: RAY_ADDRESS, or
    a Ray started for the training.
    """


class RLlibAgent(NetworkLearner):
    """An RLlib algorithm as an agent; acting takes its `RLModule` alone and no running Ray."""

    params: RLlibParams
    model_file = MODEL
    step_cost = 6.0

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.module: Any = None
        self.state: Any = None  # of the algorithm
        self._algorithm: Any = None

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
        """See `Learner.learn`. The callback is called once for each iteration. Runners that die
        with their node are started again where there is room; the others train on.
        """
        _, ray = libraries()
        from agents.rllib import runner as bridge

        self.steps_wanted = steps
        settings = settings | self.training_settings() | self.env_settings()
        begun = bridge.start(self.params.address, self.params.runners, STORE)
        try:
            self._algorithm = self._build(market, settings, seed)
            if self.state is not None:
                self._algorithm.set_state(self.state)
            else:
                self.prepare(self._algorithm)
            going = self.steps_done < steps
            while going:
                result = self._algorithm.train()
                self.steps_done = int(result["env_runners"]["num_env_steps_sampled_lifetime"])
                going = self.steps_done < steps
                if callback is not None:
                    going = (
                        goes_on(
                            callback,
                            "update",
                            callback.update(self.steps_done, bridge.diagnostics(result)),
                        )
                        and going
                    )
                    seen = bridge.snapshot(self._algorithm)
                    going = (
                        seen is None
                        or goes_on(callback, "step", callback.step(self.steps_done, seen))
                    ) and going
        finally:
            if self._algorithm is not None:
                self._remember()
                self._algorithm.stop()
                self._algorithm = None
            if begun:
                ray.shutdown()

    def _build(self, market: Any, settings: dict[str, Any], seed: int) -> Any:
        """The algorithm, its environments registered and the market shared."""
        from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
        from ray.tune.registry import register_env

        from agents.rllib import runner as bridge
        from fundenv.envs.rllib import share

        p = self.params
        rate = EnvConfig.from_dict(settings).cash_rate
        training: dict[str, Any] = {
            "cash_rates": (min(p.cash_low, rate), max(p.cash_high, rate)),
            "funding_scales": p.funding_scales,
        }
        training |= {"reward_scale": p.reward_scale, "leverage": self.zones(), **settings}
        one = bridge.TrainingEnv(1, market=market, **training)
        self.bind(one.batch)
        self.provenance = replace(self.provenance, market=market.hash)
        register_env(bridge.TRAINING, bridge.create)
        model = DefaultModelConfig(
            fcnet_hiddens=[p.hidden, p.hidden], fcnet_activation="tanh", vf_share_layers=False
        )
        config = (
            self.config()
            .environment(
                bridge.TRAINING,
                env_config={"market": share(market), **training},
                observation_space=one.single_observation_space,
                action_space=one.single_action_space,
            )
            .env_runners(
                num_env_runners=p.runners,
                num_envs_per_env_runner=p.n_envs,
                gym_env_vectorize_mode="vector_entry_point",
            )
            .fault_tolerance(restart_failed_env_runners=True, ignore_env_runner_failures=True)
            .rl_module(model_config=model)
            .learners(num_learners=0)
            .debugging(seed=seed, log_level="ERROR")
        )
        one.close()
        return config.build_algo()

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The module's actions, greedy or drawn."""
        if self.module is None:
            raise self.untrained()
        torch, _ = libraries()
        with torch.no_grad():
            seen = {"obs": torch.as_tensor(np.asarray(obs, np.float32))}
            inputs = self.module.forward_inference(seen)["action_dist_inputs"]
            return self.choose(inputs, deterministic)

    def write(self, folder: Path) -> None:
        """Module and algorithm."""
        if self._algorithm is not None:
            self._remember()
        if self.module is None:
            return
        torch, _ = libraries()
        spaces = (self.module.observation_space, self.module.action_space, self.module.model_config)
        for name, value in (
            (STATE, self.state),
            (MODEL, (type(self.module), spaces, self.module.get_state())),
        ):
            torch.save(value, folder / name)

    def read(self, folder: Path, record: dict[str, Any]) -> None:
        """The module, on the CPU, and the state of the algorithm."""
        self.check_model(folder)
        torch, _ = libraries()
        from ray.rllib.core.rl_module.rl_module import RLModuleSpec

        from agents.sb3.archive import check_stored

        for name in (MODEL, STATE):
            check_stored(folder / name)

        kind, (observations, actions, model), weights = torch.load(
            folder / MODEL, weights_only=False
        )
        spec = RLModuleSpec(
            module_class=kind,
            observation_space=observations,
            action_space=actions,
            model_config=model,
            inference_only=True,
        )
        self.module = spec.build()
        self.module.set_state(weights)
        self.state = torch.load(folder / STATE, weights_only=False)
        super().read(folder, record)

    def _remember(self) -> None:
        """Keep the module and the state of the algorithm."""
        self.module, self.state = self._algorithm.get_module(), self._algorithm.get_state()

    def prepare(self, algorithm: Any) -> None:
        """Change the fresh algorithm before its first step."""

    def zones(self) -> tuple[float, float] | None:
        """Lowest and highest leverage of the zones that the algorithm acts in; None where it acts
        in the env's own space.
        """
        return None

    @abstractmethod
    def config(self) -> Any:
        """The algorithm's own part of RLlib's config."""

    @abstractmethod
    def choose(self, inputs: Any, deterministic: bool) -> NDArray[Any]:
        """Actions from the inputs of the action distribution."""
