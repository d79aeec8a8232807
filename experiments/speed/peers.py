"""Other environments, timed in the same run as fundenv, so that a ratio holds on any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from experiments.speed.stepping import BURST, bursts, walk


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
        yield _vector(
            f"gymnasium {name}",
            gymnasium.make_vec(name, num_envs=count, vectorization_mode="vector_entry_point"),
            count,
        )
    for name, make in (("torchrl", _regimes), ("torchtrade", _torchtrade)):
        if find_spec(name):
            yield from (make(count) for count in batches)
    if find_spec("gym_anytrading"):
        yield _single("gym-anytrading", _anytrading())
    if find_spec("gym_trading_env"):
        yield _single("gym-trading-env", _trading_env())


def _frame() -> Any:
    import pandas as pd

    rng, n = np.random.default_rng(0), 20_000
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, n)))
    frame = pd.DataFrame(
        {"close": close, "open": close, "high": close * 1.01, "low": close * 0.99, "volume": 1.0}
    )
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
        "TradingEnv",
        name="peer",
        df=frame,
        positions=[-1, 0, 1],
        trading_fees=1e-4,
        borrow_interest_rate=3e-6,
        verbose=0,
    )


def _single(name: str, env: Any) -> Peer:
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(2_000)]
    return Peer(name, "single", 1, walk(env, actions), int(np.asarray(observation).size))


def _vector(name: str, env: Any, count: int) -> Peer:
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(BURST)]
    return Peer(name, "vector", count, bursts(env.step, actions, count), int(observation.shape[1]))


def _regimes(count: int) -> Peer:
    """TorchRL's financial environment: one price with 50 prices of history, a flag that says
    whether it is held, and no account.
    """
    import torch
    from torchrl.envs import FinancialRegimeEnv

    torch.set_num_threads(1)
    env = FinancialRegimeEnv(seed=0)
    first = env.reset().expand(count).clone()  # its own reset of a batch fails (0.13 and 0.14)
    now = first.clone()

    def step(action: Any) -> None:
        nonlocal now
        now["action"] = action
        now = env.step(now)["next"]
        if now["done"][0, 0]:  # all episodes have the same length
            now = first.clone()

    actions = torch.randint(0, 3, (BURST, count, 1))
    observed = (
        sum(
            int(first[name].shape[1])
            for name in ("price_history", "current_holdings", "entry_price")
        )
        + 1
    )
    return Peer(
        "TorchRL FinancialRegimeEnv", "torch", count, bursts(step, actions, count), observed
    )


def _torchtrade(count: int) -> Peer:
    """TorchTrade's batch of futures accounts, with leverage, fees and liquidation."""
    import torch
    from torchtrade.envs.offline import vectorized_sequential as vs

    torch.set_num_threads(1)
    config = vs.VectorizedSequentialTradingEnvConfig(
        num_envs=count, leverage=3, transaction_fee=4e-4
    )
    env = vs.VectorizedSequentialTradingEnv(_frame().reset_index(names="timestamp"), config)
    now = env.reset()

    def step(action: Any) -> None:
        nonlocal now
        now["action"] = action
        now = env.step_and_maybe_reset(now)[1]

    observed = sum(int(now[name][0].numel()) for name in ("account_state", "market_data_1Hour_10"))
    return Peer(
        "TorchTrade",
        "torch",
        count,
        bursts(step, torch.randint(0, 3, (BURST, count)), count),
        observed,
    )
