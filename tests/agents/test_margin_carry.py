"""The rule `margin_carry` on observations written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from fundenv.batch.cpu import Batch
from fundenv.market import Market
from tests.agents.one_capital import answer, bound, held, look, two_coins


@pytest.fixture(scope="module")
def market() -> Market:
    return two_coins()


INTEREST = 0.073 * 1e4 / 1095  # of borrowed quote on Binance, bp per 8 h: 0.667


def margin(market: Market, **params: Any) -> tuple[Any, Batch]:
    given = {"own": 0.9, "highest": 1.5, "distance": 10.0, "near": 4.0} | params
    return bound("margin_carry", market, **given)


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ((0.1, 0.15), ["hold", "hold"]),  # nothing above 0.2
        ((0.3, 0.5), ["hold", 0.9]),  # the best coin, with the own capital
        ((0.3, INTEREST + 0.19), ["hold", 0.9]),  # does not pay the interest by 0.2
        ((0.3, INTEREST + 0.21), ["hold", 1.5]),  # pays it: borrowed
    ],
)
def test_margin_carry_borrows_where_the_carry_pays_the_interest(
    market: Market, means: tuple[float, float], expected: list[Any]
) -> None:
    agent, batch = margin(market)
    assert answer(agent, look(batch, {"mean": means[0]}, {"mean": means[1]})) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (held(1.5) | {"mean": INTEREST - 0.19}, "hold"),  # above `repay`
        (held(1.5) | {"mean": INTEREST - 0.21}, 0.9),  # repaid
        (held(0.9) | {"mean": INTEREST - 0.19}, "hold"),  # nothing was borrowed
        (held(1.5) | {"mean": -0.21}, 0.0),  # left
        (held(1.3, target=0.9) | {"mean": 0.3}, "hold"),  # a rise enlarges it: borrows nothing
        (held(0.44, target=0.9) | {"mean": 0.3}, 0.9),  # below half of what is wanted
        (held(0.46, target=0.9) | {"mean": 0.3}, "hold"),
        (held(2.1, target=1.5) | {"mean": 2.0}, 1.5),  # 3.5 daily volatilities left
        (held(2.0, target=1.5) | {"mean": 2.0}, "hold"),  # 4.7
    ],
)
def test_margin_carry_leaves_a_position_alone_until_it_has_to_act(
    market: Market, state: dict[str, float], expected: Any
) -> None:
    agent, batch = margin(market)
    assert answer(agent, look(batch, state, {}))[0] == expected


def test_margin_carry_is_sized_by_the_distance_to_liquidation(market: Market) -> None:
    agent, batch = margin(market, highest=3.0)
    use = float(agent.capital.use[0])
    assert answer(agent, look(batch, {"mean": 3.0}, {}))[0] == 1 / (1.5 * use)
    agent, batch = margin(market, highest=3.0, distance=60.0)
    assert answer(agent, look(batch, {"mean": 3.0}, {}))[0] == 1 / (4.0 * use)


@pytest.mark.parametrize(("compare", "expected"), [(0.0, [0.812, "hold"]), (1.0, ["hold", 1.5])])
def test_margin_carry_compares_coins_by_their_mean_or_by_what_the_equity_grows(
    market: Market, compare: float, expected: list[Any]
) -> None:
    """The first coin pays more, but moves 20 % a day: 10 such days away lies 1 / (3 x 0.4105) =
    0.812 of the equity, which borrows nothing: 1.6 bp. The other carries 1.5 of the equity: 1.5 +
    0.5 x (1.5 - 0.667) = 1.92 bp.
    """
    agent, batch = margin(market, compare=compare)
    seen = look(batch, {"mean": 1.6}, {"mean": 1.5})
    for at, column in enumerate(batch.observation_table):
        if column.name in ("0:volatility_7d", "0:volatility_30d"):
            seen[0, at] *= 4.0
    found = [each if each == "hold" else round(each.expected, 4) for each in answer(agent, seen)]
    assert found == expected


def test_margin_carry_splits_the_capital(market: Market) -> None:
    agent, batch = margin(market, coins=2)
    assert answer(agent, look(batch, {"mean": 0.3}, {"mean": 0.5})) == [0.45, 0.45]
    # one coin is good enough: the other half stays cash
    assert answer(agent, look(batch, {"mean": 0.1}, {"mean": 0.5})) == ["hold", 0.45]
