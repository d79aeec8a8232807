"""Rules walked in a batch: parameters per environment, memory that follows the episodes, nothing
but the past.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from fundenv.batch.cpu import Batch
from fundenv.market import Market, between, synthetic_market

RULES: dict[str, dict[str, list[Any]]] = {
    "carry": {"leverage": [2.0, 3.0, 5.0], "rebalance": [0.0, 0.1, 0.3]},
    "zscore": {
        "entry": [1.0, 1.5, 2.0],
        "exit": [0.5, 0.0, -0.5],
        "two_sided": [True, False, True],
    },
    "ewma": {"span": [3.0, 9.0, 40.0], "enter": [0.1, 0.3, 0.0], "exit": [-0.3, 0.0, -0.1]},
    "har": {"last": [0.1, 0.5, 0.2], "enter": [0.1, 0.3, 0.0], "leverage": [2.0, 3.0, 4.0]},
    "reverse": {"span": [3.0, 9.0, 40.0], "enter": [-1.2, -1.0, -1.1], "exit": [-1.3, -1.4, -2.0]},
    "dynamic_leverage": {
        "gain": [0.5, 2.0, 10.0],
        "span": [3.0, 9.0, 40.0],
        "enter": [0.0, 0.1, 0.2],
    },
    "buy_and_hold": {"leverage": [1.0, 2.0, 3.0]},
}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.5, paths=1, seed=3)


def play(
    agent: Any, market: Market, n: int, steps: int, **settings: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Actions (steps, n, 4) and equity (steps, n) of environments that all walk the market from its
    first row.
    """
    batch = Batch(
        n, market=market, random_start=False, episode=None, **settings | agent.env_settings()
    )
    agent.bind(batch)
    agent.reset()
    batch.reset(0)
    actions, equity = [], []
    for _ in range(steps):
        actions.append(agent.act(batch.obs))
        batch.step(actions[-1])
        equity.append(batch.store.account[:, 1].copy())
    return np.array(actions), np.array(equity)


@pytest.mark.parametrize("name", RULES)
def test_environments_with_their_own_parameters_do_what_rules_of_their_own_would(
    name: str, market: Market
) -> None:
    n = len(next(iter(RULES[name].values())))
    together: Any = agents.make(name)
    together.vary(RULES[name])
    actions, equity = play(together, market, n, 300)
    for i in range(n):
        alone = play(
            agents.make(name, **{key: values[i] for key, values in RULES[name].items()}),
            market,
            1,
            300,
        )
        assert (alone[0][:, 0] == actions[:, i]).all()
        assert (alone[1][:, 0] == equity[:, i]).all()
    assert len(np.unique(equity[-1])) == n  # the parameters do matter


@pytest.mark.parametrize("name", RULES)
def test_a_rule_begins_anew_where_an_episode_ends(name: str, market: Market) -> None:
    """Two environments, one of them reset half-way: from there on it does what a fresh one does,
    and the other one is not disturbed.
    """
    undisturbed = play(agents.make(name), market, 1, 200)[0][:, 0]
    agent = agents.make(name)
    batch = Batch(2, market=market, random_start=False, episode=None, **agent.env_settings())
    agent.bind(batch)
    batch.reset(0)
    actions = []
    for step in range(300):
        if step == 100:
            batch.reset(paths=[0, 0], mask=[True, False])
            agent.reset(np.array([True, False]))
        actions.append(agent.act(batch.obs).copy())
        batch.step(actions[-1])
    both = np.array(actions)
    assert (both[100:, 0] == undisturbed).all()
    assert (both[:200, 1] == undisturbed).all()


@pytest.mark.parametrize("name", RULES)
def test_actions_do_not_change_with_the_future(name: str, market: Market) -> None:
    """A walk over the first half of the data does what the walk over all of it does there."""
    middle = market.times(0)[len(market.times(0)) // 2]
    short = between(market, None, middle)
    steps = (len(short.close_ns) - 8) // 8
    first, whole = (play(agents.make(name), part, 1, steps)[0] for part in (short, market))
    assert (first == whole).all()


@pytest.mark.parametrize(
    ("span", "feature"),
    [(1, "funding_last"), (3, "funding_ewma_3"), (9, "funding_ewma_9"), (90, "funding_ewma_90")],
)
@pytest.mark.parametrize("interval", ["8h", "1h"])
def test_the_mean_of_a_rule_is_the_observed_one(
    span: int, feature: str, interval: str, market: Market
) -> None:
    agent: Any = agents.make("ewma", span=span)
    batch = Batch(
        1,
        market=market,
        random_start=False,
        episode=None,
        decision_interval=interval,
        cash_rate=0.0,
        **agent.env_settings(),
    )
    agent.bind(batch)
    batch.reset(0)
    column = agents.base.observed(batch.observation_table, feature)
    for _ in range(200):
        assert agent.signal(batch.obs)[0, 0] == pytest.approx(column.of(batch.obs)[0, 0], abs=1e-4)
        batch.step(np.array([[1.0, 0.0, 1.0, 3.0]]))


def test_har_weights_are_those_of_least_squares_on_what_a_new_position_would_receive(
    market: Market,
) -> None:
    """By hand from the settled rates: the rate settled at the decision's own instant is neither
    known nor received.
    """
    from agents.rules.har import Har
    from fundenv.market.layout import SETTLE_PRICE, SETTLE_RATE

    # the bar that opens at the settlement
    settled = np.flatnonzero(market.bars[:, 0, SETTLE_PRICE] > 0)
    rates = market.bars[settled, 0, SETTLE_RATE] * 1e4
    columns = [
        [f.name for f in market.table].index(name)
        for name in ("funding_last", "funding_ewma_3", "funding_ewma_21", "funding_ewma_90")
    ]
    known, received = [], []
    for number, bar in enumerate(settled):
        if bar >= 1 and number + 3 < len(settled):
            known.append(
                [1.0, *(market.features[bar - 1, 0, c] * market.table[c].scale for c in columns)]
            )
            # entered after settlement `number`
            received.append(rates[number + 1 : number + 4].mean())
    weights = np.linalg.lstsq(np.array(known), np.array(received), rcond=None)[0]
    found = Har.fit(market, horizon=3)
    assert list(found.values()) == pytest.approx(weights, abs=2e-2)
    error = np.std(np.array(received) - np.array(known) @ list(found.values()))
    assert error < np.std(np.array(received) - np.array(known)[:, 1])  # better than no change


def test_har_refuses_a_short_market(market: Market) -> None:
    from agents.rules.har import Har

    with pytest.raises(
        agents.AgentError,
        match=r"agent har: 1\d rates to fit on; give a training span of at least 100",
    ):
        Har.fit(between(market, None, market.times(0)[24 * 8]))
