"""The rules of one capital on observations written by hand, and in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from agents import AgentError
from agents.base import observed
from agents.rules.capital import Capital
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, load_market
from fundenv.market.layout import SIGMA_DAY
from tests.agents.one_capital import DAY, answer, bound, held, look, two_coins
from tests.markets import write_coins

RULES = (
    "allocation best_coin equal_weight margin_carry rotation volatility_bands zscore_basket".split()
)


@pytest.fixture(scope="module")
def market() -> Market:
    return two_coins()


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
    write_coins(tmp_path, ("BTCUSDT", "XRPUSDT"), years=0.2, start="2021-01-01")
    agent, batch = bound("equal_weight", load_market(tmp_path), count=2)
    agent.capital.look(2)
    path = batch.where[0]
    assert sorted(path.tolist()) == [0, 1]
    assert agent.capital.collateral[:, 0].tolist() == [[0.95, 0.6][p] for p in path]
    with pytest.raises(
        AgentError, match="bound to 2 environments of different coins or days and got 1"
    ):
        agent.act(batch.obs[:1])


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
