"""The pictures of what agents do show what the agents say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from experiments.surface import IN, OUT, POINTS, STAYS, medians, planes, surface
from fundenv.batch.cpu import Batch
from fundenv.market import Market, synthetic_market


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, seed=2)


def drawn(
    name: str, market: Market, plane: int, **params: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    agent = agents.make(name, **params)
    batch = Batch(
        2 * POINTS * POINTS, market=market, **agent.env_settings() | {"start_invested": 0.5}
    )
    x, y = planes(batch)[plane]
    carry, _ = surface(agent, batch, medians(batch), x, y)
    return carry, x.at, y.at


def test_always_on_is_invested_everywhere_and_flat_nowhere(market: Market) -> None:
    assert (drawn("carry", market, 0)[0] == IN).all()
    assert set(np.unique(drawn("flat", market, 0)[0])) == {OUT}


def test_hysteresis_is_a_band_around_the_cost_of_capital(market: Market) -> None:
    """Full carry above hurdle + enter, flat below hurdle + exit; hurdle = cash rate x 4/3 / 1095 in
    bp per 8 h.
    """
    carry, funding, cash = drawn("ewma", market, 0, span=9, enter=0.5, exit=-0.5, leverage=3.0)
    signal = funding[None, :] - cash[:, None] * 4 / 3 / 1095 * 1e4
    clear = np.minimum(np.abs(signal - 0.5), np.abs(signal + 0.5)) > 0.02  # away from the edges
    wanted = np.select([signal > 0.5, signal < -0.5], [IN, OUT], STAYS)
    np.testing.assert_array_equal(carry[clear], wanted[clear])
