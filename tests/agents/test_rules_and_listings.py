"""Rules of one capital choose no coin that does not trade, and share the capital among those that
do.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import agents
from agents import AgentError, Reason
from agents.base import observed
from agents.registry import agent_classes
from agents.rules.capital import OneCapital
from agents.rules.rotation import Rotation
from agents.training.learner import NetworkLearner
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, joint, layout, listed, stack, synthetic_portfolio
from fundenv.market.join import singles
from tests.agents.one_capital import answer, bound, held, look

# without the learners that act only after a training (what they steer is margin carry), and
# without the pair, which needs two perpetuals of a coin
RULES = sorted(
    name
    for name, kind in agent_classes().items()
    if issubclass(kind, OneCapital)
    and not issubclass(kind, NetworkLearner)
    and name != "venue_pair"
)
CAUSAL = [name for name in RULES if not agent_classes()[name].sees_future]
SETTINGS: dict[str, Any] = {
    "margin_mode": "portfolio",
    "cash_rate": 0.0,
    "episode": None,
    "random_start": False,
    "funding_shift": 0.05,
}
EAGER: dict[str, dict[str, Any]] = {
    "zscore_basket": {"entry": 0.5, "exit": 0.0, "apart": 1.0, "leverage": 1.0},
    "allocation": {"leverage": 1.0},
    "best_coin": {"leverage": 1.0, "swap": 0.1},
    "rotation": {"leverage": 1.0, "swap": 0.1},
    "margin_carry": {"coins": 2, "swap": 0.1},
    "static_venue": {"leverage": 1.0},
    "venue_spread": {"leverage": 1.0},
}


@pytest.fixture(scope="module")
def coins() -> Market:
    """Four coins that are always there."""
    return synthetic_portfolio(4, years=0.25, seed=2, late=0.0, gone=0.0)


def walked(name: str, market: Market, look_at: Any = lambda *seen: None, **more: Any) -> Batch:
    """The batch at the end of the first path; `look_at` gets agent, observation and actions of each
    decision.
    """
    agent: Any = agents.make(name, **EAGER.get(name, {}))
    settings = SETTINGS | agent.env_settings() | more
    batch = Batch(1, market=market, autoreset="disabled", **settings)
    agent.bind(batch)
    agent.reset()
    batch.reset(0, paths=0)
    while not (batch.terminated | batch.truncated).any():
        obs = batch.obs.copy()
        actions = agent.act(obs)
        look_at(agent, obs, actions, batch)
        batch.step(actions)
    return batch


@pytest.mark.parametrize("name", RULES)
def test_no_rule_asks_for_a_coin_that_does_not_trade(name: str) -> None:
    """Five coins, three of which come late and go early; in every decision of the path."""
    market = synthetic_portfolio(5, years=0.4, seed=5, late=1.0, gone=1.0)
    state = market.bars[:, :, layout.HALTED]
    assert all((state == code).any() for code in (layout.NO_PRICE, layout.UNLISTED))
    traded = np.zeros(5, bool)

    def check(agent: Any, obs: Any, actions: Any, batch: Batch) -> None:
        mask = observed(batch.observation_table, "available").of(obs)[0] > 0.5
        asks = actions.reshape(-1, 4)[:, 0] < 0.5
        assert not (asks & ~mask).any()
        traded[:] |= asks
        if agent.reasons is not None:
            assert (agent.reasons[0, ~mask] == Reason.CLOSED).all()
        assert "not listed" not in batch.audit()["trade"]["reason"][0]

    batch = walked(name, market, check)
    assert traded.any()
    if name in ("equal_weight", "volatility_bands"):
        assert traded.all()
    assert batch.store.account[0, t.EQUITY] > 50_000


@pytest.mark.parametrize("name", CAUSAL)
def test_a_coin_that_is_never_listed_changes_nothing(name: str, coins: Market) -> None:
    """Beside the same coins without it. (The programme of the allocation has other optima.)"""
    bars, features = coins.bars.copy(), coins.features.copy()
    for column in range(layout.HALTED):
        bars[:, 3, column] = 0.0 if column >= layout.SETTLE_RATE else 1.0
    bars[:, 3, layout.SIGMA_DAY] = 1.0
    bars[:, 3, layout.HALTED], features[:, 3] = layout.UNLISTED, 0.0
    absent = replace(coins, bars=bars, features=features)
    three = joint(stack(singles(coins)[:3]), coins.symbols[0][:3])
    ends = [walked(name, market).store.account[0, t.EQUITY] for market in (absent, three)]
    assert ends[0] == pytest.approx(ends[1], rel=2e-3 if name == "allocation" else 1e-12)
    assert ends[0] != 100_000.0


@pytest.mark.parametrize("name", CAUSAL)
def test_numbers_of_a_coin_that_is_delisted_do_not_reach_a_rule(name: str, coins: Market) -> None:
    """Its bars after the delisting, prices included, are changed at random."""
    names, times = coins.symbols[0], coins.times(0)
    market = listed(coins, {names[2]: (None, times[700])})
    gone = market.bars[:, 2, layout.HALTED] == layout.UNLISTED
    row = int(gone.argmax()) + 1
    wild = market.bars.copy()
    rng = np.random.default_rng(0)
    wild[row:, 2, : layout.SETTLE_RATE] *= rng.uniform(0.1, 9.0, (len(wild) - row, 1))
    wild[row:, 2, layout.SIGMA_DAY] *= 3.0
    given: list[list[Any]] = [[], []]
    for i, each in enumerate((market, replace(market, bars=wild))):
        walked(name, each, lambda a, obs, actions, b, i=i: given[i].append(actions.copy()))
    assert np.array_equal(*(np.array(actions) for actions in given))


@pytest.mark.parametrize("name", ["best_coin", "rotation", "margin_carry"])
@pytest.mark.parametrize("state", ["unlisted", "halted"])
def test_a_coin_that_looks_best_and_does_not_trade_is_not_chosen(
    name: str, state: str, coins: Market
) -> None:
    """Every other coin pays less than nothing (unlisted: its features are 0), or less."""
    params = {"leverage": 1.0} if name != "margin_carry" else {"enter": -5.0, "exit": -9.0}
    if name == "rotation":
        params |= {"enter": -5.0, "exit": -9.0}
    agent, batch = bound(name, coins, **params)
    mean = {"unlisted": 0.0, "halted": 4.0}[state]
    away = {"mean": mean, "available": 0.0}
    found = answer(agent, look(batch, {"mean": -3.0}, away, {"mean": -2.0}, {"mean": -2.5}))
    assert [x == "hold" for x in found] == [True, True, False, True]
    # one that is held stays where it is
    full = 1 / 1.05
    own = held(full, target=full, collateral=0.95) | {"mean": -3.0}
    assert answer(agent, look(batch, own, away, {"mean": -2.9}, {"mean": -2.9})) == ["hold"] * 4


@pytest.mark.parametrize("name", CAUSAL)
def test_a_coin_held_is_kept_while_it_is_halted(name: str, coins: Market) -> None:
    """Whatever its funding says; and its part of the capital is given to no other."""
    agent, batch = bound(name, coins)
    own = held(0.9, target=0.9, collateral=0.95) | {"mean": -20.0, "available": 0.0}
    own |= {"funding_z": -5.0}
    others = [{"mean": 9.0, "funding_z": 3.0}] * 3
    agent.reset()
    rows = agent.act(look(batch, own, *others)).reshape(-1, 4)
    assert rows[0, 0] == 1.0
    assert agent.reasons[0, 0] == Reason.CLOSED
    if isinstance(agent, Rotation) or name == "margin_carry":
        assert (rows[:, 0] == 1.0).all()
    elif name == "allocation":
        assert np.where(rows[1:, 0] < 0.5, rows[1:, 1], 0.0).sum() < 0.15


@pytest.mark.parametrize("name", ["equal_weight", "volatility_bands"])
def test_shares_follow_the_number_of_coins_that_trade(name: str, coins: Market) -> None:
    agent, batch = bound(name, coins, **({"leverage": 1.0} if name == "equal_weight" else {}))
    absent = {"available": 0.0}
    agent.reset()

    def act(*seen: dict[str, float]) -> Any:
        return agent.act(look(batch, *seen)).reshape(-1, 4)

    rows = act({}, {}, absent, absent)
    assert rows[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert rows[:2, 1] == pytest.approx([rows[0, 1]] * 2)
    own = [
        held(0.5 * float(agent.capital.notional(leverage)[0]) * 2 * carry, collateral=0.95)
        for carry, leverage in rows[:2, [1, 3]]
    ]
    assert act(*own, absent, absent)[:, 0].tolist() == [1.0] * 4
    listed_now = act(*own, {}, absent)  # one more: all go to a third
    assert listed_now[:, 0].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert listed_now[:3, 1] == pytest.approx([rows[0, 1] * 2 / 3] * 3, rel=0.02)
    assert act(*own, {}, absent)[:2, 0].tolist() == [1.0] * 2  # once


def test_a_rule_of_one_capital_needs_the_mask_and_takes_more(coins: Market) -> None:
    agent = agents.make("rotation")
    given: dict[str, Any] = {"actions": "target", "capital": "shared"}
    with pytest.raises(AgentError, match=r"needs an env with observe = \('available',\), this one"):
        agent.bind(Batch(1, market=coins, **given))
    agent.bind(Batch(1, market=coins, **given, observe=("available", "borrow_cost")))
