"""Measures what the learners of sb3-contrib reach on SolvableCarry: TQC and CrossQ beside SAC, and
PPO with an LSTM beside PPO.

Memory helps where one observation does not show the signal. In the tasks called blurred, noise of
the signal's own size covers it. Three learners get it: PPO with the noisy observation, PPO with an
exponential mean of its observations, as the environment has one of funding, and an LSTM. Shares are
of the optimum of a policy that observes the signal itself.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.core.cli import run
from experiments.core.run_folder import RunError
from experiments.solvable import Judge
from experiments.studies.solvable_tasks import PATHS, TASKS, Task
from fundenv.envs.sb3_solvable import SolvableVecEnv

Array = NDArray[Any]
_DISCRETE = {"actions": "discrete", "dials": ("carry",), "carry_grid": (-1.0, 1.0)}
_CONTINUOUS = {"actions": "continuous", "dials": ("carry",)}
# standard deviation of the noise, in those of the signal; span of the exponential mean, in
# decisions
BLUR, SPAN = (1.0, 8.0)


@dataclass(frozen=True, kw_only=True)
class Learner:
    """One line of the table."""

    kind: str  # ppo, recurrent, sac, tqc or crossq
    steps: int
    blurred: bool = False
    mean: bool = False  # whether it observes an exponential mean


LEARNERS = {
    "sac": Learner(kind="sac", steps=100_000),
    "tqc": Learner(kind="tqc", steps=100_000),
    "crossq": Learner(kind="crossq", steps=100_000),
    "ppo": Learner(kind="ppo", steps=400_000),
    "recurrent": Learner(kind="recurrent", steps=400_000),
    "ppo-blurred": Learner(kind="ppo", steps=400_000, blurred=True),
    "ppo-blurred-mean": Learner(kind="ppo", steps=400_000, blurred=True, mean=True),
    "recurrent-blurred": Learner(kind="recurrent", steps=400_000, blurred=True),
}


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the measurement."""

    learners: tuple[str, ...] = tuple(LEARNERS)
    """Learners to train."""
    seeds: int = 2
    """Number of trainings of each learner."""
    steps: int | None = None
    """Environment steps of every training; default: 100,000 for learners with a replay buffer,
    400,000 for the others.
    """


class Blur:
    """Adds noise to the signal in observations (n, D), and writes the exponential mean of the noisy
    signal since the begin of the episode into another column.
    """

    def __init__(self, table: Any, learner: Learner, seed: int) -> None:
        names = [column.name for column in table]
        self.signal, self.beside = names.index("signal"), names.index("drawdown")
        self.sd, self.mean = (
            BLUR / table[self.signal].scale if learner.blurred else 0.0,
            learner.mean,
        )
        self.rng = np.random.default_rng([seed, 0xB1])
        self.kept: Array | None = None

    def __call__(self, obs: Any, begun: Array) -> Array:
        """Changed copies of the observations; `begun` (n,): which episodes have just begun."""
        seen: Array = obs.copy()
        if self.sd:
            seen[:, self.signal] += self.sd * self.rng.standard_normal(len(obs)).astype(np.float32)
        if self.mean:
            before = (
                seen[:, self.signal]
                if self.kept is None
                else np.where(begun, seen[:, self.signal], self.kept)
            )
            self.kept = before + 2.0 / (SPAN + 1.0) * (seen[:, self.signal] - before)
            seen[:, self.beside] = self.kept
        return seen


def main(args: Args) -> None:
    """Train each, print a line."""
    for name in args.learners:
        if name not in LEARNERS:
            raise RunError(f"--learners {name}: expected some of {', '.join(LEARNERS)}")
    if args.seeds < 1 or (args.steps is not None and args.steps < 1):
        raise RunError(f"--seeds {args.seeds} --steps {args.steps}: must be at least 1")
    try:
        import sb3_contrib  # noqa: F401
    except ImportError as error:
        raise RunError(
            f"the script contrib needs sb3-contrib ({error}); install it with: pip install"
            " sb3-contrib"
        ) from None
    print(f"{'learner':<20}{'steps':>10}{'% of optimum, each seed':>28}{'CPU s':>8}")
    for name in args.learners:
        learner = LEARNERS[name]
        found = [train(learner, args.steps or learner.steps, seed) for seed in range(args.seeds)]
        shares = " ".join(f"{share:.1f}" for share, _ in found)
        seconds = statistics.median(spent for _, spent in found)
        print(
            f"{name:<20}{args.steps or learner.steps:>10,}{shares:>28}{seconds:>8.0f}", flush=True
        )


def train(learner: Learner, steps: int, seed: int) -> tuple[float, float]:
    """(per cent of the optimum, seconds of this thread) of one training."""
    import torch
    from stable_baselines3.common.vec_env import VecEnvWrapper

    torch.set_num_threads(1)
    off_policy = learner.kind in ("sac", "tqc", "crossq")
    actions: dict[str, Any] = _CONTINUOUS if off_policy else _DISCRETE
    usual = TASKS["A-sac" if off_policy else "A-ppo"]
    numbers: dict[str, Any] = PATHS | usual.env | actions
    venv = SolvableVecEnv(
        usual.params["n_envs"], usual.problem, **numbers, start_invested=0.5, seed=seed
    )
    blur = Blur(venv.batch.observation_table, learner, seed)

    class Seen(VecEnvWrapper):
        """The env with the observations of the policy."""

        def reset(self) -> Any:
            return blur(self.venv.reset(), np.ones(self.num_envs, bool))

        def step_wait(self) -> Any:
            obs, reward, dones, infos = self.venv.step_wait()
            return blur(obs, dones), reward, dones, infos

    model = _model(learner.kind, Seen(venv), steps, seed)
    begun = time.thread_time()
    model.learn(steps)
    spent = time.thread_time() - begun
    task = Task(problem="linear", agent=learner.kind, steps=steps, env={}, params={})
    judge: Any = Judge(task, _Settings(actions))
    judge.greedy = _greedy(model, Blur(judge.env.observation_table, learner, seed + 1_000_000))
    return judge.share(), spent


class _Settings:
    """The interface that `Judge` needs of an agent."""

    def __init__(self, actions: dict[str, Any]) -> None:
        self.actions = actions

    def env_settings(self) -> dict[str, Any]:
        return self.actions

    def reset(self) -> None:
        """Do nothing: `_greedy` holds the memory."""


def _greedy(model: Any, blur: Blur) -> Callable[[Array], Array]:
    """A function that returns the most likely action, with the memory of one rollout."""
    state, begun = None, True

    def act(obs: Array) -> Array:
        nonlocal state, begun
        starts = np.full(len(obs), begun)
        actions, state = model.predict(
            blur(obs, starts), state=state, episode_start=starts, deterministic=True
        )
        begun = False
        return actions  # type: ignore[no-any-return]

    return act


def _model(kind: str, env: Any, steps: int, seed: int) -> Any:
    """A new model with the settings of `experiments.solvable` for problem A."""
    import torch
    from sb3_contrib import TQC, CrossQ, RecurrentPPO
    from stable_baselines3 import PPO, SAC
    from stable_baselines3.common.utils import LinearSchedule

    off_policy = kind not in ("ppo", "recurrent")
    p = TASKS["A-sac" if off_policy else "A-ppo"].params
    common: dict[str, Any] = {
        "learning_rate": LinearSchedule(p["learning_rate"], 0.0, 1.0),
        "gamma": p["gamma"],
        "seed": seed,
        "device": "cpu",
    }
    common |= {"batch_size": p["batch_size"], "ent_coef": p["entropy"]}
    policy: dict[str, Any] = {"net_arch": [64, 64], "activation_fn": torch.nn.Tanh}
    if not off_policy:
        own = {"n_steps": p["n_steps"], "n_epochs": p["epochs"]}
        if kind == "ppo":
            return PPO("MlpPolicy", env, policy_kwargs=policy, **own, **common)
        return RecurrentPPO(
            "MlpLstmPolicy", env, policy_kwargs=policy | {"lstm_hidden_size": 64}, **own, **common
        )
    replay: dict[str, Any] = {
        "buffer_size": steps,
        "gradient_steps": p["gradient_steps"],
        "train_freq": 1,
        "learning_starts": min(p["learning_starts"], steps // 5),
    }
    if kind == "crossq":
        return CrossQ("MlpPolicy", env, policy_kwargs={"net_arch": [64, 64]}, **replay, **common)
    return {"sac": SAC, "tqc": TQC}[kind](
        "MlpPolicy", env, tau=p["tau"], policy_kwargs=policy, **replay, **common
    )


if __name__ == "__main__":
    run(Args, main, __doc__)
