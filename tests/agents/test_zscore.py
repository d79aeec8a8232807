"""The z-score rule: its signal against pandas, every zone, confirmation, size and way out on
observations written by hand.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from agents import AgentError, Reason
from agents.rules.memory import Window
from agents.rules.zscore_reasons import State, Zone
from fundenv.batch.cpu import Batch
from fundenv.market import between, joint, stack, synthetic_market
from fundenv.market.layout import SETTLE_PRICE, SETTLE_RATE
from tests.agents.by_hand import hold, observe
from tests.agents.zscore_rule import reasons, rule

# --- signal ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", ["8h", "1h"])
def test_the_score_is_that_of_pandas_on_the_settled_rates(interval: str) -> None:
    market = synthetic_market("eth", years=0.3, paths=1, seed=2)
    agent: Any = agents.make("zscore", window=30)
    batch = Batch(
        1,
        market=market,
        random_start=False,
        episode=None,
        decision_interval=interval,
        **agent.env_settings(),
    )
    agent.bind(batch)
    batch.reset(0)
    settled = market.bars[:, 0, SETTLE_PRICE] > 0
    rates = pd.Series(market.bars[settled, 0, SETTLE_RATE] * 1e4)
    expected = (rates - rates.rolling(30).mean()) / rates.rolling(30).std()
    number = np.cumsum(settled) - 1
    seen = 0
    for _ in range(500 if interval == "1h" else 80):
        row = int(batch.store.episode[0, 3])
        agent.act(batch.obs)
        z = agent.z[0, 0]
        if number[row] - number[int(market.paths[0, 0])] >= 40:
            seen += 1
            assert z == pytest.approx(expected[number[row]], abs=1e-3)
        batch.step(np.array([[1.0, 0.0, 1.0, 3.0]]))
    assert seen > 30


def test_windows_of_all_lengths_agree_with_pandas_after_a_reset_too() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([[2], [5], [17], [40]])
    window = Window()
    for episode in range(2):
        rates = np.round(rng.standard_t(2, (120, 4, 3)), 4)
        if episode:
            window.forget(np.array([True] * 4))
        for step in range(120):
            mean, deviation, count = window.see(rates[step], np.ones((4, 3), dtype=bool), lengths)
            for env in range(4):
                last = pd.DataFrame(rates[max(0, step + 1 - lengths[env, 0]) : step + 1, env])
                assert mean[env] == pytest.approx(last.mean().to_numpy(), abs=1e-9)
                if step:
                    assert deviation[env] == pytest.approx(last.std().to_numpy(), abs=1e-7)
            assert (count == step + 1).all()


def test_equal_rates_have_a_score_of_nothing() -> None:
    agent = rule(window=3)
    for _ in range(5):
        agent.act(observe(funding_last=1.0, funding_z=9.0))
    assert agent.z.tolist() == [[0.0]]
    assert agent.zones.tolist() == [[Zone.EXIT]]


def test_the_observed_score_stands_in_until_the_window_is_full() -> None:
    agent = rule(window=3)
    scores = []
    for rate in (1.0, 2.0, 4.0, 4.0):
        agent.act(observe(funding_last=rate, funding_z=9.0))
        scores.append(agent.z[0, 0])
    assert scores == pytest.approx(
        [9.0, 9.0, (4 - 7 / 3) / (7 / 3) ** 0.5, (4 - 10 / 3) / (4 / 3) ** 0.5]
    )


def test_windows_longer_than_the_data_are_refused_where_they_are_compared() -> None:
    agent = rule(window=1000)
    with pytest.raises(
        AgentError,
        match=(
            r"agent zscore: window = 1001 is longer than the data, which hold 1000 settlements; set"
            r" it within 2 \.\. 1000"
        ),
    ):
        agent.vary({"window": [30, 1001]})


@pytest.mark.parametrize("name", ["zscore", "zscore_basket"])
def test_a_rule_acts_on_fewer_settlements_than_its_window_and_says_so(name: str) -> None:
    """An agent that was made for a longer window is not refused on a short span, live or not."""
    two = stack([synthetic_market(c, years=0.3, paths=1, seed=2) for c in ("btc", "eth")])
    market = joint(two, [names[0] for names in two.symbols])
    short = between(market, *(market.times(0)[k] for k in (300, 396)))
    seen = []
    for window in (30, 90):  # the z-score of 90 settlements stands in
        agent: Any = agents.make(name, window=window)
        batch = Batch(1, market=short, random_start=False, episode=None, **agent.env_settings())
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            agent.bind(batch)
        said = [str(each.message) for each in told if "longer than the data" in str(each.message)]
        assert len(said) == (window == 30)
        assert all("window = 30" in text and "last 90 stands in" in text for text in said)
        batch.reset(0)
        agent.act(batch.obs)
        seen.append(agent.z.copy())
    assert np.array_equal(*seen)


# --- the machine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z", "zone", "reason"),
    [
        (0.4, Zone.EXIT, Reason.NEUTRAL),
        (1.4, Zone.NEUTRAL, Reason.NEUTRAL),
        (1.6, Zone.MONITOR, Reason.MONITOR),
        (2.6, Zone.ENTRY, Reason.ENTER),
        (-1.6, Zone.MONITOR, Reason.MONITOR),
        (-2.6, Zone.ENTRY, Reason.MONITOR),
    ],
)
def test_zones(z: float, zone: Zone, reason: Reason) -> None:
    agent = rule()
    agent.act(observe(funding_z=z, funding_last=np.sign(z)))
    assert agent.zones.tolist() == [[zone]]
    assert reasons(agent) == [reason]
    assert agent.states.tolist() == [[State.CARRY if reason == Reason.ENTER else State.FLAT]]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"funding_z": 2.0, "funding_last": 1.0}, Reason.HOLD),
        ({"funding_z": 0.4, "funding_last": 1.0}, Reason.EXIT),
        ({"funding_z": 2.0, "funding_last": -1.0}, Reason.FLIP),
        ({"funding_z": 0.4, "funding_last": 1.0, "pending": 1.0}, Reason.PENDING),
    ],
)
def test_reasons_in_a_position(state: dict[str, float], reason: Reason) -> None:
    agent = rule()
    action = agent.act(observe(carry=1.0, **state))
    assert reasons(agent) == [reason]
    assert hold(action) == [reason in (Reason.HOLD, Reason.PENDING)]


# --- confirmation ---------------------------------------------------------------------------------


def test_rsi_confirms_carry_above_and_reverse_carry_below() -> None:
    agent = rule(rsi=75.0, two_sided=True)
    actions = agent.act(
        observe(funding_z=[3, 3, -3, -3], funding_last=[5, 5, -5, -5], rsi=[24, 26, -24, -26])
    )
    assert hold(actions) == [True, False, True, False]
    assert actions[[1, 3], 1].tolist() == [1.0, -1.0]
    assert reasons(agent) == [Reason.UNCONFIRMED, Reason.ENTER, Reason.UNCONFIRMED, Reason.ENTER]


def test_expected_funding_has_to_pay_for_hurdle_and_costs() -> None:
    """From 9 bp to a mean of 1 within 10 intervals: 5 bp each on average. The hurdle at leverage 3
    and 4.5 % is 0.548 bp: 44.52 bp in all.
    """
    state = {"funding_z": 3.0, "funding_last": 9.0, "funding_ewma_90": 1.0, "cash_rate": 0.045}
    for cost, reason in ((44.5, Reason.ENTER), (44.6, Reason.COSTS)):
        agent = rule(horizon=10.0, cost=cost)
        agent.act(observe(**state))
        assert reasons(agent) == [reason]


def test_reverse_carry_pays_the_borrow_rate() -> None:
    """Hurdle 4.5 % / 3 + 8.76 % a year = 0.937 bp: 10 x (5 - 0.937) = 40.63 bp."""
    state = {"funding_z": -3.0, "funding_last": -9.0, "funding_ewma_90": -1.0, "cash_rate": 0.045}
    for cost, reason in ((40.6, Reason.ENTER), (40.7, Reason.COSTS)):
        agent = rule(horizon=10.0, cost=cost, two_sided=True)
        agent.act(observe(**state))
        assert reasons(agent) == [reason]


def test_a_high_score_of_negative_funding_is_no_carry() -> None:
    agent = rule()
    agent.act(observe(funding_z=3.0, funding_last=-0.1))
    assert reasons(agent) == [Reason.AGAINST]
