"""What the speed measurement times: each mode as a function that steps some environments with
random actions and says how many it stepped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

import fundenv  # noqa: F401  registers the environment
from fundenv.batch.cpu import Batch
from fundenv.envs.spaces import action_space
from fundenv.market import layout

ID = "fundenv/FundingHedge-v0"
BURST = 20  # steps between two looks at the clock


class Stepper(NamedTuple):
    """`run` steps all environments several times and returns the environment steps done."""

    run: Callable[[], int]
    obs_size: int
    bytes_per_env: int | None = None  # memory
    bytes_per_step: int | None = None  # read and written by one step of one environment


def single(count: int, settings: dict[str, Any], threads: int, device: str) -> Stepper:
    """One environment through `gymnasium.make`."""
    env: Any = gymnasium.make(ID, **settings)
    env.unwrapped.batch.use_compiled()
    env.reset(seed=0)
    actions = (
        np.random.default_rng(0)
        .uniform(-1, 1, (2_000, *(env.action_space.shape or ())))
        .astype(np.float32)
    )
    # a list, as a policy gives one array after another: to take a row of a matrix is no step
    return Stepper(walk(env, list(actions)), (env.observation_space.shape or (0,))[0])


def vector(count: int, settings: dict[str, Any], threads: int, device: str) -> Stepper:
    """`gymnasium.make_vec`."""
    env: Any = gymnasium.make_vec(ID, num_envs=count, threads=threads, **settings)
    env.reset(seed=0)
    step_as_long_runs_do(env.batch)
    return Stepper(
        bursts(env.step, _actions(count, env.single_action_space), count),
        env.single_observation_space.shape[0],
        *_bytes(env.batch),
    )


def sb3(count: int, settings: dict[str, Any], threads: int, device: str) -> Stepper:
    """stable-baselines3's VecEnv."""
    from fundenv.envs.sb3 import FundingHedgeVecEnv

    env = FundingHedgeVecEnv(count, threads=threads, **settings)
    env.seed(0)
    env.reset()
    step_as_long_runs_do(env.batch)
    return Stepper(
        bursts(env.step, _actions(count, env.action_space), count),
        (env.observation_space.shape or (0,))[0],
        *_bytes(env.batch),
    )


def torch(count: int, settings: dict[str, Any], threads: int, device: str) -> Stepper:
    """Tensors on a device; on a GPU a burst is one captured CUDA graph, and `run` waits for it."""
    import torch as th

    from fundenv.envs.torch import FundingHedgeTorchEnv

    env = FundingHedgeTorchEnv(count, device=device, threads=threads, **settings)
    env.reset(seed=0)
    if env.device.type == "cpu":
        step_as_long_runs_do(env.batch)
    actions = th.rand((BURST, count, *(env.action_space.shape or ())), device=device) * 2 - 1

    def burst() -> None:
        for action in actions:
            env.step(action)

    def run() -> int:
        graph.replay() if graph is not None else burst()
        if env.device.type == "cuda":
            th.cuda.synchronize(env.device)
        return BURST * count

    graph: Any = None
    burst()
    if env.device.type == "cuda":
        graph = th.cuda.CUDAGraph()
        with th.cuda.graph(graph):
            burst()
    return Stepper(run, len(env.observation_table), *_bytes(env.batch))


def ppo(count: int, settings: dict[str, Any], threads: int, device: str) -> Stepper:
    """PPO of stable-baselines3 training end to end."""
    import agents

    def run() -> int:
        # the warm start is no part of a step
        agent: Any = agents.make("ppo", n_envs=count, imitate=0, counterfactual_rounds=0)
        done = 8 * count * agent.params.n_steps
        agent.learn(
            settings["market"],
            {"decision_interval": settings["decision_interval"]},
            steps=done,
            seed=0,
        )
        return int(done)

    return Stepper(run, 0)


MODES: dict[str, Callable[[int, dict[str, Any], int, str], Stepper]] = {
    "single": single,
    "vector": vector,
    "sb3": sb3,
    "torch": torch,
    "ppo": ppo,
}


def drawn(batch: Batch, rng: np.random.Generator) -> NDArray[Any]:
    """Random actions of all environments, for `gate.take`."""
    space, n = action_space(batch), batch.num_envs
    if isinstance(space, gymnasium.spaces.Discrete):
        return rng.integers(0, int(space.n), n)
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return rng.integers(0, space.nvec, (n, len(space.nvec)))
    return rng.uniform(space.low, space.high, (n, *space.shape)).astype(np.float32)


def step_as_long_runs_do(batch: Batch) -> None:
    """Use the vector form of a step at once, where the batch fits it: a batch compiles it after a
    million steps, which a busy machine does not reach while it is timed.
    """
    if batch.fits_vectors:
        batch.use_vectors()


def walk(env: Any, actions: Any) -> Callable[[], int]:
    """Runs one environment through the actions, with resets where an episode ends."""

    def run() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return run


def bursts(step: Callable[[Any], Any], actions: Any, count: int) -> Callable[[], int]:
    """Runs `count` environments, which reset themselves, through the actions of all."""

    def run() -> int:
        for action in actions:
            step(action)
        return len(actions) * count

    return run


def _actions(count: int, space: Any) -> NDArray[np.float32]:
    """A burst of random actions of `space` (one environment's)."""
    return np.random.default_rng(0).uniform(-1, 1, (BURST, count, *space.shape)).astype(np.float32)


def _bytes(batch: Batch) -> tuple[int, int]:
    """(memory of one environment, bytes that one of its steps must read and write if every array is
    touched once).

    Read: state, action, the rows of the market from the last close on, one row of features.
    Written: state, observation, reward, flags, ledger, trades.
    """
    n, store, out = batch.num_envs, batch.store, batch.out
    state = sum(array.nbytes for array in (store.account, store.legs, store.episode))
    written = sum(
        array.nbytes
        for array in (out.obs, out.reward, out.terminated, out.truncated, out.ledger, out.trades)
    )
    memory = (
        state
        + written
        + out.obs.nbytes
        + out.final_obs.nbytes
        + out.final.nbytes
        + batch.actions.nbytes
    ) // n
    bars = int(batch.world.codes[0]) + 1
    row = batch.n_assets * (8 * layout.N_COLUMNS * bars + 4 * batch.world.features.shape[2])
    return memory, (2 * state + written + batch.actions.nbytes) // n + row
