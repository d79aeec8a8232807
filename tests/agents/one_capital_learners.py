"""Learners of one capital, the coins that they learn on, and what each of them has to keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import agents
from agents.sb3.portfolio.params import OBSERVE
from agents.training.portfolio_accounts import Answers
from fundenv.batch.cpu import Batch
from fundenv.envs.portfolio import by_asset
from fundenv.market import Market, joint, narrowed, synthetic_market
from fundenv.market.join import singles
from fundenv.market.split import stack
from tests.agents.watching import until

PORTFOLIO = {"margin_mode": "portfolio"}
# of counted choices
CHOICE: dict[str, dict[str, Any]] = {
    "choice_ppo": {
        "n_envs": 8,
        "n_steps": 16,
        "batch_size": 64,
        "hidden": 8,
        "episode_days": 10,
        "imitate": 256,
        "counterfactual_rounds": 2,
        "counterfactual_envs": 2,
        "counterfactual_days": 12,
    },
    "choice_sac": {
        "n_envs": 4,
        "batch_size": 16,
        "hidden": 8,
        "learning_starts": 40,
        "episode_days": 5,
    },
}
# of those that steer margin carry
COMMON = {"hidden": 8, "episode_days": 5, "crash_share": 0.0, "n_steps": 8}
DIALLED: dict[str, dict[str, Any]] = {
    "portfolio_ppo": COMMON | {"n_envs": 8, "batch_size": 64},
    "portfolio_sac": COMMON | {"n_envs": 4, "batch_size": 16, "gradient_steps": 4},
}


def coins(count: int, seed: int = 3, years: float = 0.3) -> Market:
    """A joint market of `count` made coins with names of their own."""
    names = ["BTCUSDT", *(f"C{number}USDT" for number in range(1, count))]
    made = [
        replace(
            synthetic_market(("btc", "eth", "alt")[number % 3], years=years, seed=seed + number),
            symbols=((name,),),
        )
        for number, name in enumerate(names)
    ]
    return joint(stack(made), names)


def shaken(weights: Iterable[Any], seed: int = 1) -> None:
    """Move weights far from those of a new network, so that every coin matters."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in weights:
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))


def learned(name: str, params: dict[str, Any], market: Market, steps: int) -> Any:
    """A learner that has been trained, with shaken weights."""
    agent: Any = agents.make(name, **params)
    agent.learn(market, PORTFOLIO, steps=steps, seed=0)
    shaken(agent.model.policy.parameters())
    return agent


def untrained(name: str, market: Market, **params: Any) -> Any:
    """A learner that steers margin carry, with a new model."""
    agent: Any = agents.make(name, **DIALLED[name] | params)
    env = agent.training_env(market, PORTFOLIO, seed=0)
    agent.build(env, 0)
    env.close()
    return agent


def bound(agent: Any, market: Market, count: int = 16, seed: int = 1) -> Batch:
    """The batch that the agent is bound to."""
    batch = Batch(count, market=market, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    batch.reset(seed)
    return batch


def acted(agent: Any, market: Market, steps: int = 60, count: int = 8) -> NDArray[Any]:
    """Actions of every decision."""
    terms = {"cash_rate": np.linspace(-0.02, 0.04, count)}
    batch = Batch(count, market=market, per_env=terms, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    agent.reset()
    batch.reset(1)
    found = []
    for _ in range(steps):
        found.append(np.array(agent.act(batch.obs)))
        batch.step(found[-1])
    return np.array(found)


def without_a_coin(obs: NDArray[np.float32]) -> tuple[Any, Any, Any]:
    """(observations of five coins where the second is not listed, those of the other four alone,
    the numbers of these four).
    """
    rows, account = by_asset(np.arange(obs.shape[1]), 5, OBSERVE)
    absent = obs.copy()
    absent[:, rows[1]] = 0.0
    four = np.delete(np.arange(5), 1)
    width = 4 * rows.shape[1] + len(account)
    less = np.empty((len(obs), width), np.float32)
    new_rows, new_account = by_asset(np.arange(width), 4, OBSERVE)
    less[:, new_rows.ravel()] = obs[:, rows[four].ravel()]
    less[:, new_account] = obs[:, account]
    return absent, less, four


def order_changes_nothing(agent: Any, market: Market, atol: float) -> None:
    """The orders of five coins are the same in another order of the coins."""
    order = [3, 0, 4, 2, 1]
    said = acted(agent, market)
    told = acted(agent, narrowed(market, tuple(market.symbols[0][i] for i in order)))
    first, then = (each.reshape(*each.shape[:2], 5, 4) for each in (said, told))
    assert (first[..., 0] == 0).any()  # orders
    np.testing.assert_allclose(then, first[:, :, order], atol=atol)


def acted_on_paths(name: str, params: dict[str, Any], steps: int) -> tuple[Any, NDArray[Any]]:
    """(a learner that was trained on three paths of one coin each, its actions there)."""
    one = stack(singles(coins(3)))
    agent: Any = agents.make(name, **params)
    agent.learn(one, PORTFOLIO, steps=steps, seed=0)
    batch = Batch(3, market=one, random_start=False, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    batch.reset(0)
    return agent, agent.act(batch.obs)


def resumed(
    name: str, params: dict[str, Any], market: Market, steps: int, folder: Path
) -> tuple[Any, Any, Any]:
    """(a learner, the same one stopped on its way, that one after the rest of its training): the
    first and the last have the same weights.
    """
    whole: Any = agents.make(name, **params)
    whole.learn(market, PORTFOLIO, steps=steps, seed=5)
    first: Any = agents.make(name, **params)
    first.learn(market, PORTFOLIO, steps=steps, seed=5, callback=until(steps * 6 // 10))
    assert 0 < first.steps_done < steps
    first.save(folder)
    second: Any = agents.load(folder)
    second.learn(market, PORTFOLIO, steps=steps, seed=5)
    assert second.steps_done == whole.steps_done
    for key, value in whole.model.policy.state_dict().items():
        np.testing.assert_array_equal(second.model.policy.state_dict()[key], value, err_msg=key)
    return whole, first, second


def two_coins_answered(rng: np.random.Generator, length: int, cost: float) -> Answers:
    """Drawn gains of cash and two coins in `length` decisions, none of them liquidated."""
    states = 3
    return Answers(
        obs=np.zeros((length, 1, states, 1), np.float32),
        gain=rng.normal(size=(length, 1, states)).astype(np.float32),
        liquidated=np.zeros((length, 1, states), bool),
        held=np.array([[[0.0, 0.9, 0.4]]] * length, np.float32),
        asked=np.array([[0.0, 1.0, 0.5]], np.float32),
        cost=np.array([cost], np.float32),
        coin=np.array([-1, 0, 1]),
    )
