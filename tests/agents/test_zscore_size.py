"""How much the z-score rule holds, and when it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from agents import Reason
from agents.rules.zscore_reasons import State
from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market
from tests.agents.by_hand import bound, observe
from tests.agents.zscore_rule import reasons, rule

HIGH = {"funding_z": 3.0, "funding_last": 5.0}


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
