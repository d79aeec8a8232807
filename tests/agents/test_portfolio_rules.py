"""The rules of one capital on observations written by hand, and in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from agents import AgentError, Reason
from agents.base import observed
from agents.rules import allocation
from agents.rules.capital import Capital
from agents.rules.zscore_basket import Together
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import (
    Market,
    load_market,
    synthetic_frames,
    synthetic_market,
    write_frames,
)
from fundenv.market.layout import SIGMA_DAY

RULES = (
    "allocation best_coin equal_weight margin_carry rotation volatility_bands zscore_basket".split()
)
INTEREST = 0.073 * 1e4 / 1095  # of borrowed quote on Binance, bp per 8 h: 0.667
DAY = 0.05  # daily volatility of the observations


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(("btc", "eth"), years=0.3, seed=1)


def bound(name: str, market: Market, count: int = 1, **params: Any) -> tuple[Any, Batch]:
    """A rule in portfolio margin, cash rate 0, and its batch."""
    agent: Any = agents.make(name, **params)
    settings = agent.env_settings() | {"margin_mode": "portfolio", "cash_rate": 0.0}
    batch = Batch(count, market=market, episode=None, random_start=False, **settings)
    agent.bind(batch)
    batch.reset(0)
    return agent, batch


def look(batch: Batch, *coins: dict[str, float]) -> NDArray[np.float32]:
    """One observation with the values of each coin; the rest is 0, means all equal `mean`."""
    values = np.zeros((1, len(batch.observation_table)), np.float32)
    for at, column in enumerate(batch.observation_table):
        prefix, _, name = column.name.rpartition(":")
        given = dict(coins[int(prefix)] if prefix else {})
        mean = given.pop("mean", 0.0)
        given |= {f"funding_ewma_{span}": mean for span in (3, 9, 21, 90)}
        given |= {"funding_last": mean, "settlement_cos": 1.0}
        given |= {f"volatility_{days}d": DAY * np.sqrt(365) for days in (7, 30)}
        given.setdefault("available", 1.0)
        values[0, at] = given.get(name, 0.0) / column.scale
    return values


def held(notional: float, *, target: float | None = None, collateral: float = 0.6) -> Any:
    """Observations of a coin with this notional over equity, the target of which was `target`."""
    target = notional if target is None else target
    leverage = max(target / (1 - (1 - collateral) * target), 1.0)
    gross = (1 + (1 - collateral) * leverage) / leverage
    return {
        "carry": notional * gross,
        "perp_weight": -notional,
        "spot_weight": notional,
        "target_carry": target * gross,
        "target_leverage": leverage,
    }


def answer(agent: Any, obs: NDArray[np.float32]) -> list[Any]:
    """Per coin "hold", or the notional over equity that is asked."""
    agent.reset()
    rows = agent.act(obs).reshape(-1, 4)
    full = np.broadcast_to(agent.capital.notional(rows[:, 3]), len(rows))
    return [
        "hold" if row[0] > 0.5 else pytest.approx(row[1] * n, rel=1e-4)
        for row, n in zip(rows, full, strict=True)
    ]


# --- the arithmetic -------------------------------------------------------------------------------


def test_capital_by_hand(market: Market) -> None:
    """Collateral 0.6 and maintenance 0.5 % x 1.05: a notional of 1 uses 0.40525 of the equity."""
    _, batch = bound("equal_weight", market)
    capital = Capital(batch)
    m = capital.maintenance
    use = 0.4 + 1.05 * m
    assert capital.notional(2.0) == pytest.approx(2 / 1.8)
    assert capital.leverage(2 / 1.8) == pytest.approx(2.0)
    assert capital.hurdle(1.0, 0.04) == pytest.approx(0.04)
    assert capital.hurdle(3.0, 0.04) == pytest.approx(0.04 * 2.2 / 3 + 0.073 * 0.8 / 3)
    # 10 daily volatilities of 5 % are a rise by half
    size = capital.notional_at(10.0, DAY * np.sqrt(365))
    assert size == pytest.approx(1 / (1.5 * use))
    one = np.array([[1.0, 0.0]]) * size
    assert capital.distance(one, DAY * np.sqrt(365)) == pytest.approx(10.0)
    assert capital.distance(one * 0, 0.5) == np.inf


def test_the_equity_that_guards_is_that_of_the_account(market: Market) -> None:
    """1 - sum of notional x use is what the env has above its maintenance, over equity, or a little
    less: the rule takes the bracket of a position as large as the capital.
    """
    agent, batch = bound("equal_weight", market, leverage=3)
    for _ in range(30):
        batch.step(agent.act(batch.obs))
    found = {
        name: observed(batch.observation_table, name).of(batch.obs)[0]
        for name in ("perp_weight", "margin_distance")
    }
    notional = -found["perp_weight"]
    sigma = batch.market.bars[batch.store.episode[0, t.ROW], :, SIGMA_DAY]
    above = found["margin_distance"] * notional.sum() * sigma
    assert 0.6 < notional[0] < 0.8
    guards = 1 - (notional * agent.capital.use).sum()
    assert above == pytest.approx(guards, rel=0.02)
    assert (above >= guards).all()


def test_paths_of_different_coins_have_their_own_collateral(tmp_path: Path) -> None:
    for seed, symbol in enumerate(("BTCUSDT", "XRPUSDT")):
        frames = synthetic_frames(years=0.2, seed=seed, symbol=symbol, start="2021-01-01")
        write_frames(frames, tmp_path, venue="binance")
    agent, batch = bound("equal_weight", load_market(tmp_path), count=2)
    agent.capital.look(2)
    path = batch.where[0]
    assert sorted(path.tolist()) == [0, 1]
    assert agent.capital.collateral[:, 0].tolist() == [[0.95, 0.6][p] for p in path]
    with pytest.raises(
        AgentError, match="bound to 2 environments of different coins or days and got 1"
    ):
        agent.act(batch.obs[:1])


# --- equal weight, best coin ----------------------------------------------------------------------


def test_equal_weight_restores_the_coin_that_is_off(market: Market) -> None:
    """At leverage 1 full carry is 1 / 1.4 of the equity, half of it in each of two coins."""
    agent, batch = bound("equal_weight", market, leverage=1, band=0.2)
    half = 0.5 / 1.4
    assert answer(agent, look(batch, {}, {})) == [half, half]
    # off by more than 0.2 x 0.5 of the equity, by less, and below
    assert answer(agent, look(batch, held(half + 0.11), held(half + 0.09))) == [half, "hold"]
    assert answer(agent, look(batch, held(half), held(half - 0.11))) == ["hold", half]


def test_best_coin_never_leaves_the_market(market: Market) -> None:
    agent, batch = bound("best_coin", market, leverage=1)
    full = 1 / 1.4
    assert answer(agent, look(batch, {"mean": -3.0}, {"mean": -2.0})) == ["hold", full]
    worse = look(batch, held(full) | {"mean": -3.0}, {"mean": -2.3})
    assert answer(agent, worse) == ["hold", "hold"]  # better by 0.7 only
    swapped = look(batch, held(full) | {"mean": -3.0}, {"mean": -2.1})
    assert answer(agent, swapped) == [0.0, full]


def test_rotation_restores_the_coin_held_where_it_is_off(market: Market) -> None:
    agent, batch = bound("rotation", market, leverage=1, band=0.2)
    full = 1 / 1.4
    for notional, expected in ((full + 0.21, full), (full + 0.19, "hold"), (full - 0.21, full)):
        state = held(notional, target=full) | {"mean": 1.0}
        assert answer(agent, look(batch, state, {})) == [expected, "hold"]
    agent, batch = bound("rotation", market, leverage=1)  # no band: the keeper's business
    assert answer(agent, look(batch, held(3 * full, target=full) | {"mean": 1.0}, {}))[0] == "hold"


# --- margin carry ---------------------------------------------------------------------------------


def margin(market: Market, **params: Any) -> tuple[Any, Batch]:
    given = {"own": 0.9, "highest": 1.5, "distance": 10.0, "near": 4.0} | params
    return bound("margin_carry", market, **given)


SAFE = 1 / (1.5 * 0.40525)  # the notional 10 daily volatilities away: 1.645


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


# --- volatility bands -----------------------------------------------------------------------------


def test_volatility_bands_by_hand(market: Market) -> None:
    agent, batch = bound(
        "volatility_bands",
        market,
        distance=10,
        near=5,
        far=20,
        highest=5,
    )
    use = float(agent.capital.use[0])
    half = 0.5 / (1.5 * use)
    assert answer(agent, look(batch, {}, {})) == [half, half]
    inside = look(batch, held(half), held(half))
    assert answer(agent, inside) == ["hold", "hold"]
    # 5 daily volatilities are a rise by a quarter, 20 one by 1
    for left, expected in ((0.24, half), (0.26, "hold"), (0.99, "hold"), (1.01, half)):
        state = held(0.5 / ((1 + left) * use), target=half)
        assert answer(agent, look(batch, state, state)) == [expected, expected]


# --- z-score basket -------------------------------------------------------------------------------


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


# --- allocation -----------------------------------------------------------------------------------


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


# --- in the environment ---------------------------------------------------------------------------


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
@pytest.mark.parametrize("name", RULES)
def test_they_walk_in_every_margin_mode_and_use_one_capital(
    market: Market, name: str, margin_mode: str
) -> None:
    agent: Any = agents.make(name)
    settings = agent.env_settings() | {"margin_mode": margin_mode, "cash_rate": 0.0}
    batch = Batch(2, market=market, episode=None, funding_shift=0.3, **settings)
    agent.bind(batch)
    batch.reset(0)
    traded = 0
    for _ in range(60):
        actions = agent.act(batch.obs)
        rows = actions.reshape(2, -1, 4)
        assert (np.where(rows[..., 0] > 0.5, 0.0, rows[..., 1]).sum(axis=1) <= 1 + 1e-9).all()
        traded += int((rows[..., 0] < 0.5).sum())
        assert agent.reasons.shape == (2, 2)
        batch.step(actions)
    assert traded > 0 or name == "zscore_basket"


@pytest.mark.parametrize("name", RULES)
def test_values_per_environment_act_like_single_rules(market: Market, name: str) -> None:
    values = {
        "allocation": {"span": [9.0, 45.0]},
        "best_coin": {"swap": [0.1, 1.0]},
        "equal_weight": {"band": [0.02, 0.5]},
        "margin_carry": {"borrow": [0.0, 0.5], "coins": [1, 2], "compare": [0.0, 1.0]},
        "rotation": {"band": [0.02, 0.0], "span": [9.0, 45.0]},
        "volatility_bands": {"distance": [15.0, 30.0]},
        "zscore_basket": {"entry": [1.0, 2.0], "most": [0.3, 1.0]},
    }[name]
    agent, batch = bound(name, market, count=2)
    agent.vary(values)
    singles = [
        bound(name, market, **{key: given[i] for key, given in values.items()}) for i in range(2)
    ]
    for _ in range(45):
        batch.step(agent.act(batch.obs))
        for i, (single, own) in enumerate(singles):
            own.step(single.act(own.obs))
            assert own.store.account[0, t.EQUITY] == batch.store.account[i, t.EQUITY]
