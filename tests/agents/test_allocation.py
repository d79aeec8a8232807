"""The rules `zscore_basket` and `allocation`: their arithmetic by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents import Reason
from agents.rules import allocation
from agents.rules.zscore_basket import Together
from fundenv.market import (
    Market,
)
from tests.agents.one_capital import bound, look, two_coins


@pytest.fixture(scope="module")
def market() -> Market:
    return two_coins()


def test_basket_limits_a_coin_and_keeps_apart_what_moves_together(market: Market) -> None:
    agent, batch = bound("zscore_basket", market, most=0.4, apart=0.8, correlation=False)
    strong = look(batch, {"mean": 3.0, "funding_z": 3.0}, {"mean": 3.0, "funding_z": 4.0})
    agent.together.see = lambda *seen: np.array([[[1.0, 0.7], [0.7, 1.0]]])
    assert agent.act(strong).reshape(2, 4)[:, :2].tolist() == [[0, 0.4], [0, 0.4]]
    agent.reset()
    agent.together.see = lambda *seen: np.array([[[1.0, 0.9], [0.9, 1.0]]])
    assert agent.act(strong).reshape(2, 4)[:, :2].tolist() == [[1, 0], [0, 0.4]]  # the stronger
    assert agent.reasons[0, 0] == Reason.UNCONFIRMED


def test_correlation_of_settled_rates() -> None:
    together = Together()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 3))
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    for rates in x:
        found = together.see(rates[None], np.ones((1, 3), bool), 400.0)
    weight = np.cumprod(np.full(400, 1 - 2 / 401))[::-1]
    assert np.diagonal(found[0]) == pytest.approx(1.0)
    assert found[0, 0, 1] == pytest.approx(np.cov(x.T, aweights=weight)[0, 1], abs=0.1)
    assert abs(found[0, 0, 2]) < 0.15


def test_forecast_path_by_hand() -> None:
    path = allocation.path(np.array([[3.0]]), np.array([[1.0]]), 0.5, np.array([[0.5]]))
    # 1 - 0.5 + 2 x 0.5^h: h = 1, then 2 and 3
    assert path[0, 0, :2] == pytest.approx([0.5 + 1.0, 2 * 0.5 + 0.5 + 0.25])
    assert path.shape == (1, 1, len(allocation.BLOCKS))


@pytest.mark.parametrize(
    ("value", "held", "expected"),
    [
        ([[33, 0], [0, 0]], [0, 0], [0, 0]),  # a round trip costs 34
        ([[35, 0], [0, 0]], [0, 0], [1, 0]),
        ([[10, 10], [30, 30]], [1, 0], [0, 1]),  # worth 40 more than what is held, 34 to change
        ([[10, 10], [26, 26]], [1, 0], [1, 0]),
        ([[-16, 0], [0, 0]], [1, 0], [0, 0]),  # leaving costs 17 now or then
        ([[-16, 20], [0, 0]], [1, 0], [1, 0]),
    ],
)
def test_plan_by_hand(value: Any, held: Any, expected: Any) -> None:
    numbers = np.zeros((1, 2, len(allocation.BLOCKS)))
    numbers[0, :, :2] = value
    found = allocation.plan(numbers, np.array([held], float), np.full((1, 2), 17.0))
    assert found[0] == pytest.approx(expected, abs=1e-9)
