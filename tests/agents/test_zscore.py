"""The z-score rule: its signal against pandas, every zone, confirmation, size and way out on
observations written by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from agents import AgentError, Reason
from agents.rules.memory import Window
from agents.rules.zscore_reasons import State, Zone
from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market
from fundenv.market.layout import SETTLE_PRICE, SETTLE_RATE
from tests.agents.test_rules import bound, hold, observe

HIGH = {"funding_z": 3.0, "funding_last": 5.0}


def rule(**params: Any) -> Any:
    return bound(agents.make("zscore", **params))


def reasons(agent: Any) -> list[Reason]:
    return [Reason(code) for code in agent.reasons[:, 0]]


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


def test_a_window_longer_than_the_data_is_refused() -> None:
    with pytest.raises(
        AgentError,
        match=(
            r"agent zscore: window = 1001 is longer than the data, which hold 1000 settlements; set"
            r" it within 2 \.\. 1000"
        ),
    ):
        rule(window=1001)
    agent = rule(window=1000)
    with pytest.raises(AgentError, match="window = 1500 is longer than the data"):
        agent.vary({"window": [30, 1500]})


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


# --- size -----------------------------------------------------------------------------------------


def test_persistence_gives_confidence() -> None:
    agent = rule(persistence=5.0, doubt=0.4)
    actions = agent.act(observe(**HIGH, funding_persistence=[0, 1, 5, 50]))
    assert actions[:, 1] == pytest.approx([0.4, 0.4 + 0.6 / 5, 1.0, 1.0])


def test_size_falls_with_volatility_and_never_exceeds_full_carry() -> None:
    actions = rule(volatility=0.6).act(observe(**HIGH, volatility_30d=[0.3, 0.6, 1.2]))
    assert actions[:, 1] == pytest.approx([1.0, 1.0, 0.5])


def test_the_risk_budget_caps_the_loss_at_the_stop() -> None:
    """1 % of equity at a stop of 4 % of notional: a notional of 25 % of equity, a third of the 75 %
    of full carry at leverage 3.
    """
    assert rule(stop=0.04).act(observe(**HIGH))[0, 1] == pytest.approx(1 / 3)
    assert rule(stop=0.004).act(observe(**HIGH))[0, 1] == 1.0
    agent = rule(stop=0.5)
    agent.act(observe(**HIGH))
    assert reasons(agent) == [Reason.SMALL]


def test_size_is_cut_when_funding_is_high_everywhere() -> None:
    agent = rule(crowd=3.0, crowd_size=0.25)
    actions = agent.act(observe(**HIGH, funding_market=[2.9, 3.1, -9.0]))
    assert actions[:, 1] == pytest.approx([1.0, 0.25, 1.0])
    assert reasons(agent) == [Reason.ENTER, Reason.ENTER_CUT, Reason.ENTER]


@pytest.mark.parametrize(("other", "factor"), [(1.0, 1 / 2**0.5), (-1.0, 1.0)])
def test_correlated_assets_share_their_size(other: float, factor: float) -> None:
    """Two assets whose funding moves together (or against each other) over the window."""
    agent = bound(agents.make("zscore", window=4, correlation=True, entry=1.0), assets=2)
    width = observe().shape[1] - 4
    actions = None
    for move in (0.0, 0.5, 0.0, 3.0):
        one, two = (
            observe(funding_last=5.0 + move, funding_z=9.0),
            observe(funding_last=5.0 + other * move, funding_z=9.0),
        )
        actions = agent.act(np.concatenate([one[:, :width], two], axis=1)).reshape(2, 4)
    assert actions is not None
    assert actions[0, 1] == pytest.approx(factor, abs=1e-6)


# --- ways out -------------------------------------------------------------------------------------


def test_the_stop_measures_from_the_entry_and_then_waits_for_a_neutral_signal() -> None:
    agent = rule(stop=0.04, risk=1.0)
    inside = {"carry": 1.0, "perp_weight": -0.75} | HIGH
    agent.act(observe(**HIGH, drawdown=0.10))  # flat: the account is 10 % below its peak already
    # 2.9 % lost since; the stop is 4 % of a notional of 75 %
    agent.act(observe(**inside, drawdown=1 - 0.9 * 0.971))
    assert reasons(agent) == [Reason.HOLD]
    action = agent.act(observe(**inside, drawdown=1 - 0.9 * 0.969))
    assert reasons(agent) == [Reason.STOP]
    assert action[0, :2].tolist() == [0.0, 0.0]
    assert agent.states.tolist() == [[State.COOLING]]
    for z, reason in (
        (3.0, Reason.COOL),
        (1.6, Reason.MONITOR),
        (3.0, Reason.COOL),
        (1.4, Reason.NEUTRAL),
        (3.0, Reason.ENTER),
    ):
        agent.act(observe(funding_z=z, funding_last=5.0, drawdown=0.13))
        assert reasons(agent) == [reason]


def test_funding_that_has_come_in_is_no_loss() -> None:
    """At a new high nothing has been lost, however much of it was funding."""
    agent = rule(stop=0.01)
    agent.act(observe(**HIGH))
    agent.act(observe(**HIGH, carry=1.0, perp_weight=-0.75, accrued_funding=0.2))
    assert reasons(agent) == [Reason.HOLD]


def test_without_a_stop_no_loss_matters() -> None:
    agent = rule()
    agent.act(observe(**HIGH))
    agent.act(observe(**HIGH, carry=1.0, perp_weight=-0.75, drawdown=0.9))
    assert reasons(agent) == [Reason.HOLD]


def test_a_naked_position_is_stopped_in_the_environment() -> None:
    """hedge 0 on a market whose price moves: with a stop the deepest trade loses less than without
    one.
    """
    market = synthetic_market("alt", years=1, paths=1, seed=5)
    drawdowns, stops = [], 0
    for stop in (0.0, 0.05):
        agent: Any = agents.make(
            "zscore",
            hedge=0.0,
            stop=stop,
            risk=1.0,
            entry=1.0,
            exit=-3.0,
            two_sided=True,
            leverage=2.0,
            monitor=0.5,
        )
        batch = Batch(1, market=market, random_start=False, episode=None, **agent.env_settings())
        agent.bind(batch)
        batch.reset(0)
        low = peak = 1e5
        worst = 0.0
        while not batch.truncated[0] and not batch.terminated[0]:
            batch.step(agent.act(batch.obs))
            stops += int((agent.reasons == Reason.STOP).sum())
            low = float(batch.store.account[0, 1])
            peak = max(peak, low)
            worst = max(worst, 1 - low / peak)
        drawdowns.append(worst)
    assert stops > 0
    assert drawdowns[1] < drawdowns[0]
