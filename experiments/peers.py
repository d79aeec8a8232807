"""Other environments, timed in the same run as fundenv, so that a ratio holds on any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from experiments.stepping import BURST


class Peer(NamedTuple):
    """Another environment; `mode` is the mode of fundenv that it is compared with."""

    name: str
    mode: str
    batch: int
    run: Callable[[], int]
    obs_size: int


def installed(batches: tuple[int, ...]) -> Iterator[Peer]:
    """Those peers that are installed, built with random data and ready to step."""
    for name, count in (("CartPole-v1", n) for n in batches):
        yield _vector(f"gymnasium {name}", gymnasium.make_vec(name, num_envs=count, vectorization_mode="vector_entry_point"), count)
    if find_spec("gym_anytrading"):
        yield _single("gym-anytrading", _anytrading())
    if find_spec("gym_trading_env"):
        yield _single("gym-trading-env", _trading_env())


def _frame() -> Any:
    import pandas as pd

    rng, n = np.random.default_rng(0), 20_000
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, n)))
    frame = pd.DataFrame({"close": close, "open": close, "high": close * 1.01, "low": close * 0.99, "volume": 1.0})
    frame.index = pd.date_range("2020-01-01", periods=n, freq="h")
    return frame


def _anytrading() -> Any:
    import_module("gym_anytrading")  # registers its environments
    frame = _frame().rename(columns=str.capitalize)
    return gymnasium.make("stocks-v0", df=frame, window_size=10, frame_bound=(10, len(frame)))


def _trading_env() -> Any:
    import_module("gym_trading_env")  # registers its environment
    frame = _frame()
    frame["feature_return"] = frame["close"].pct_change().fillna(0.0)
    return gymnasium.make(
        "TradingEnv", name="peer", df=frame, positions=[-1, 0, 1], trading_fees=1e-4, borrow_interest_rate=3e-6, verbose=0
    )


def _single(name: str, env: Any) -> Peer:
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(2_000)]

    def run() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return Peer(name, "single", 1, run, int(np.asarray(observation).size))


def _vector(name: str, env: Any, count: int) -> Peer:
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(BURST)]

    def run() -> int:
        for action in actions:
            env.step(action)
        return BURST * count

    return Peer(name, "vector", count, run, int(observation.shape[1]))
