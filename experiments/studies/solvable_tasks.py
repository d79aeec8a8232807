"""The trainings on the solvable problems: learner, parameters and problem of each, and functions
that make them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import agents
from agents.training.randomisation import EnvTerms
from fundenv.envs.solvable import split_settings


@dataclass(frozen=True, kw_only=True)
class Task:
    """One learner on one problem: environment steps, settings of the training environment, and
    parameters of the learner.
    """

    problem: str
    agent: str  # ppo, device_ppo or sac
    steps: int
    env: dict[str, Any]
    params: dict[str, Any]
    # of the problem, where they are not the default
    numbers: dict[str, Any] = field(default_factory=dict)


_PPO = {
    "n_envs": 256,
    "n_steps": 32,
    "batch_size": 2048,
    "epochs": 4,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "entropy_end": 0.0005,
    "hold_bias": 3.0,
    "leverage_bias": 0.0,
    "imitate": 0,
    "observations": "all",
}
_DIAL = _PPO | {
    "kind": "continuous",
    "counterfactual_rounds": 0,
    "learning_rate": 1e-3,
    "entropy": 0.0,
}
_NOISY = {"noise": 20.0, "reward": "expected", "reward_scale": 0.1, "episode": "10D"}
PATHS = {"paths": 400, "decisions": 500}  # of a training market
TASKS: dict[str, Task] = {
    "A-ppo": Task(
        problem="linear",
        agent="ppo",
        steps=700_000,
        env=_NOISY,
        params=_PPO | {"learning_rate": 1e-3, "entropy": 0.003},
    ),
    "A-ppo-continuous": Task(
        problem="linear",
        agent="ppo",
        steps=1_500_000,
        env={"reward_scale": 0.1, "episode": "10D"},
        params=_DIAL,
    ),
    "A-sac": Task(
        problem="linear",
        agent="sac",
        steps=200_000,
        env=_NOISY,
        params={
            "n_envs": 64,
            "batch_size": 512,
            "gradient_steps": 2,
            "gamma": 0.99,
            "learning_rate": 1e-3,
            "entropy": 0.01,
            "learning_starts": 5_000,
            "kind": "zones",
            "observations": "all",
            "tau": 0.05,
        },
    ),
    "B-ppo-continuous": Task(
        problem="quadratic",
        agent="ppo",
        steps=1_500_000,
        env={"reward_scale": 0.3, "episode": "10D"},
        params=_DIAL | {"gamma": 0.98},
    ),
    "C-ppo": Task(
        problem="leverage",
        agent="ppo",
        steps=300_000,
        env={"reward_scale": 0.1, "episode": "50D"},
        params=_PPO
        # while held, a position falls behind the growing equity
        | {"learning_rate": 1e-3, "entropy": 0.003, "gamma": 0.5, "hold_bias": 0.0},
    ),
    "D-ppo-continuous": Task(
        problem="impact",
        agent="ppo",
        steps=1_500_000,
        env={"reward_scale": 0.3, "episode": "10D"},
        params=_DIAL | {"gamma": 0.98},
    ),
}


def _ppo(
    name: str,
    agent: str,
    n_envs: int,
    n_steps: int,
    batch_size: int,
    epochs: int,
    steps: int = 700_000,
) -> dict[str, Task]:
    sizes = {"n_envs": n_envs, "n_steps": n_steps, "batch_size": batch_size, "epochs": epochs}
    base = TASKS["A-ppo"]
    return {
        f"{name}-{n_envs}x{n_steps}-{batch_size}x{epochs}": replace(
            base, agent=agent, steps=steps, params=base.params | sizes
        )
    }


def _sac(n_envs: int, batch_size: int, gradient_steps: int) -> dict[str, Task]:
    sizes = {"n_envs": n_envs, "batch_size": batch_size, "gradient_steps": gradient_steps}
    base = TASKS["A-sac"]
    return {
        f"sac-{n_envs}-{batch_size}x{gradient_steps}": replace(base, params=base.params | sizes)
    }


# Problem A with other numbers of environments and sizes of the update: PPO as environments x steps
# - minibatch x epochs, SAC as environments - batch x updates per step of all environments.
SETTINGS: dict[str, Task] = (
    _ppo("ppo", "ppo", 64, 128, 2048, 4)
    | _ppo("ppo", "ppo", 256, 32, 2048, 4)
    | _ppo("ppo", "ppo", 256, 64, 4096, 4)
    | _ppo("ppo", "ppo", 256, 64, 4096, 10)
    | _ppo("ppo", "ppo", 1024, 8, 2048, 4)
    | _ppo("ppo", "ppo", 1024, 16, 4096, 4)
    | _ppo("ppo", "ppo", 1024, 32, 8192, 4)
    | _ppo("device", "device_ppo", 256, 32, 2048, 4)
    | _ppo("device", "device_ppo", 1024, 8, 2048, 4)
    | _sac(64, 512, 2)
    | _sac(256, 512, 2)
    | _sac(256, 1024, 8)
    | _sac(1024, 1024, 8)
    | _ppo("ppo", "ppo", 8, 1024, 64, 10, steps=150_000)  # minibatch and epochs of SB3's defaults
)

# Options of the learners, beside the same task without them. drowned: the reward is the realised
# one, whose noise is twenty times the signal.
_DROWNED = _NOISY | {"reward": "log_growth"}
# 0.1 over the unit of the problem: what the critic is told, in rewards of the training
_PRIVILEGED = {"critic": "privileged", "reward_scale": 200.0}
_GSDE = {"sde": True, "log_std_init": -2.0, "sde_sample_freq": 8}
OPTIONS: dict[str, Task] = {
    "A-ppo-gsde": replace(TASKS["A-ppo-continuous"], params=_DIAL | _GSDE),
    "B-ppo-gsde": replace(
        TASKS["B-ppo-continuous"], params=TASKS["B-ppo-continuous"].params | _GSDE
    ),
    "A-sac-gsde": replace(TASKS["A-sac"], params=TASKS["A-sac"].params | {"sde": True}),
    "A-ppo-residual": replace(
        TASKS["A-ppo"],
        params=TASKS["A-ppo"].params | {"residual": "carry leverage=1.0", "residual_bias": 2.0},
    ),
    "A-ppo-residual-free": replace(
        TASKS["A-ppo"],
        steps=300_000,
        params=TASKS["A-ppo"].params | {"residual": "carry leverage=1.0", "residual_bias": 2.0},
        numbers={"cost": 0.0},
    ),
    "A-ppo-drowned": replace(TASKS["A-ppo"], env=_DROWNED),
    "A-ppo-drowned-privileged": replace(
        TASKS["A-ppo"], env=_DROWNED, params=TASKS["A-ppo"].params | _PRIVILEGED
    ),
}


_GRIDS: dict[str, dict[str, Any]] = {
    "linear": {"carry_grid": (-1.0, 1.0), "leverage_grid": (1.0,)},
    "quadratic": {"carry_grid": (-1.0, 1.0), "leverage_grid": (1.0,)},
    "impact": {"carry_grid": (-1.0, 1.0), "leverage_grid": (1.0,)},
    "leverage": {"carry_grid": (1.0,), "leverage_grid": tuple(range(1, 11))},
}


class Dial:
    """SB3's SAC on the plain Box of the carry dial, with the parameters of our agent."""

    def __init__(self, task: Task) -> None:
        self.agent: Any = agents.make(task.agent, **task.params)
        self.params: Any = self.agent.params
        self.model: Any = None

    def env_settings(self) -> dict[str, Any]:
        """The carry dial alone."""
        return {"actions": "continuous", "dials": ("carry",)}

    def build(self, env: Any, seed: int) -> Any:
        """A new model."""
        return self.agent.build(env, seed)

    def reset(self) -> None:
        """Do nothing: the policy has no memory."""

    def act(self, obs: Any) -> Any:
        """The most likely action."""
        return self.model.predict(obs, deterministic=True)[0]


def make_agent(task: Task, seed: int) -> tuple[Any, Any]:
    """(the agent with a new model, its training environment)."""
    from fundenv.envs.sb3_solvable import SolvableVecEnv

    agent: Any = (
        Dial(task)
        if task.agent == "sac"
        else agents.make(task.agent, **task.params | _GRIDS[task.problem])
    )
    numbers = PATHS | {"seed": seed, "start_invested": 0.5 if task.problem == "linear" else 0.0}
    settings = numbers | task.numbers | task.env | agent.env_settings()
    env: Any = (
        _tensors(agent.params, task.problem, **settings)
        if task.agent == "device_ppo"
        else SolvableVecEnv(agent.params.n_envs, task.problem, **settings)
    )
    if task.agent == "sac":
        agent.agent.steps_wanted = task.steps
    else:
        agent.steps_wanted = task.steps
        agent.bind(env.batch)
        if task.agent == "ppo":
            none, one = np.zeros(env.num_envs), np.ones(env.num_envs)
            agent.training_inputs = (
                env.batch.market,
                env.batch.config.to_dict(),
                EnvTerms(none, one, one, none),
            )
            env = agent.add_columns(env)
    with warnings.catch_warnings():
        # a batch size that does not divide the rollout: the last minibatch is smaller
        warnings.simplefilter("ignore")
        agent.model = agent.build(env, seed)
    return agent, env


def _tensors(params: Any, problem: str, *, reward_scale: float, **settings: Any) -> Any:
    """The environments of device_ppo."""
    from agents.sb3.device.env import DeviceEnv
    from fundenv.envs.torch import FundingHedgeTorchEnv

    made, own = split_settings(problem, settings)
    env = FundingHedgeTorchEnv(
        params.n_envs, device=params.device, market=made.market, **{"episode": None} | own
    )
    return DeviceEnv(
        env,
        scale=reward_scale / made.unit,
        gamma=params.gamma,
        clip=0.0,
        charge=0.0,
        potential=None,
    )
