"""Rules over venues: the choice made once, the spread rule, the pair of perpetuals, and the bound
of all that knows the future.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import agents
from agents.params import AgentError
from agents.rules.venue_rules import coins_of
from experiments.rollout.make import roll_out
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import (
    Market,
    fail_venue,
    layout,
    narrowed,
    path_range,
    synthetic_market,
    synthetic_venues,
)
from fundenv.optima.portfolio import portfolio_bound
from tests.laws.wild import COIN_VENUES

pytestmark = pytest.mark.filterwarnings("ignore::fundenv.venues.UnsourcedValue")
SETTINGS: dict[str, Any] = {"venue": "binance", "cash_rate": 0.0}


@pytest.fixture(scope="module")
def market() -> Market:
    """Two months of one coin on two venues."""
    return synthetic_venues("btc", years=0.25, paths=1, seed=2)


def ones(market: Market, name: str, **params: Any) -> tuple[Any, Batch]:
    """An agent bound to one account on the whole path."""
    agent = agents.make(name, **params)
    given = SETTINGS | agent.env_settings()
    batch = Batch(1, market=market, autoreset="disabled", episode=None, random_start=False, **given)
    agent.bind(batch)
    batch.reset(0)
    agent.reset()
    return agent, batch


def carries(agent: Any, batch: Batch, steps: int) -> np.ndarray:
    """What the account holds after each decision, (steps, A)."""
    held = []
    for _ in range(steps):
        batch.step(agent.act(batch.obs).astype(np.float32))
        held.append(-batch.store.legs[0, :, t.PERP].copy())
    return np.array(held)


def paying(market: Market, asset: int, rate: float) -> Market:
    """The market in which one asset settles `rate` each time, and the other nothing."""
    bars = market.bars.copy()
    due = bars[:, :, layout.SETTLE_PRICE] > 0
    bars[:, :, layout.SETTLE_RATE] = 0.0
    bars[:, asset, layout.SETTLE_RATE] = np.where(due[:, asset], rate, 0.0)
    return replace(market, bars=bars)


def test_the_static_rule_stays_where_it_began_and_the_spread_rule_changes(market: Market) -> None:
    changes = {}
    for name in ("static_venue", "venue_spread"):
        held = carries(*ones(market, name, span=1.0), 150)
        where = (held > 0).argmax(axis=1)
        assert ((held > 0).sum(axis=1) <= 1).all()
        changes[name] = int((np.diff(where) != 0).sum())
    assert changes["static_venue"] == 0
    assert changes["venue_spread"] >= 3


def test_the_spread_rule_stays_where_the_gain_is_below_its_threshold(market: Market) -> None:
    held = carries(*ones(market, "venue_spread", swap=100.0), 150)
    assert len({int(k) for k in (held > 0).argmax(axis=1)}) == 1


def test_the_static_rule_leaves_a_venue_that_has_failed(market: Market) -> None:
    middle = str(market.times(0)[600])[:10]
    gone = fail_venue(market, "hyperliquid", middle)
    agent, batch = ones(gone, "static_venue")
    held = carries(agent, batch, 160)
    assert held[20, 1] > 0
    assert held[-1, 1] == 0
    assert held[-1, 0] > 0


def test_the_pair_shorts_the_dear_one_and_buys_the_cheap_one(market: Market) -> None:
    """In equal sizes, without spot, until the difference is gone."""
    agent, batch = ones(market, "venue_pair", enter=0.5, exit=-0.5)
    held = carries(agent, batch, 150)
    paired = (held != 0).all(axis=1)
    assert paired.sum() > 20
    inside = held[paired]
    assert (inside[:, 0] * inside[:, 1] < 0).all()
    assert np.abs(inside.sum(axis=1)) == pytest.approx(0.0, abs=0.3 * np.abs(inside).max())
    assert np.abs(batch.store.legs[0, :, t.SPOT]).max() == 0.0


def test_the_pair_stands_on_the_side_of_the_dear_perpetual(market: Market) -> None:
    for dear in (0, 1):
        rich = paying(market, dear, 0.0008 if dear == 0 else 0.0001)
        agent, batch = ones(rich, "venue_pair", enter=0.5, span=1.0)
        agent.mean.see = lambda obs, rate, new, span, dear=dear: (
            np.where(np.arange(2) == dear, 5.0, 0.0) * np.ones_like(rate)
        )
        held = carries(agent, batch, 3)[-1]
        assert held[dear] > 0 > held[1 - dear]


def test_a_broken_pair_is_closed_at_the_next_decision(market: Market) -> None:
    """The venue of the long leg fails; the short stands alone until the rule acts."""
    middle = str(market.times(0)[600])[:10]
    gone = fail_venue(market, "hyperliquid", middle)
    agent, batch = ones(gone, "venue_pair", enter=0.0, exit=-50.0)
    held = carries(agent, batch, 160)
    assert (held[30] != 0).all()
    assert (held[-1] == 0).all()
    alone = (held != 0).sum(axis=1) == 1
    assert alone.sum() <= 2


def test_what_no_venue_rule_can_do_is_refused(market: Market) -> None:
    alone = narrowed(market, [market.symbols[0][0]])
    with pytest.raises(AgentError, match=r"needs 2 perpetuals of every coin .* BTC has 1"):
        ones(alone, "venue_pair")
    two = synthetic_market(("btc", "eth"), years=0.15)
    assert [len(group) for group in coins_of(ones(two, "static_venue")[1], "any")] == [1, 1]


def test_the_clairvoyant_changes_in_time_and_flees_a_failure(market: Market) -> None:
    """The first venue pays in the first half, the second one in the second; a rule that stays earns
    half.
    """
    bars, half = market.bars.copy(), len(market.bars) // 2
    due = bars[:, :, layout.SETTLE_PRICE] > 0
    bars[:, :, layout.SETTLE_RATE] = 0.0
    bars[:half, 0, layout.SETTLE_RATE] = np.where(due[:half, 0], 0.0008, 0.0)
    bars[half:, 1, layout.SETTLE_RATE] = 0.0001
    turned, grown = replace(market, bars=bars), {}
    for name in ("venue_clairvoyant", "static_venue"):
        rollout = roll_out(agents.make(name), turned, SETTINGS)[0]
        grown[name] = np.log(rollout.equity[-1] / rollout.equity[0])
    assert grown["venue_clairvoyant"] > 1.5 * grown["static_venue"] > 0.0
    gone = fail_venue(market, "hyperliquid", str(market.times(0)[600])[:10])
    rollout = roll_out(agents.make("venue_clairvoyant"), gone, SETTINGS)[0]
    lost = rollout.parts[:, t.PARTS.index("liquidation_loss")].sum()
    assert lost > -0.3 * rollout.equity[0]


def test_the_bound_stands_above_two_hundred_random_policies(market: Market) -> None:
    """Carries of 0 or more on either venue, or both, hedged: what `portfolio_bound` covers."""
    span = path_range(market, 0, 1)
    bars = 24 * 12
    given = SETTINGS | {"actions": "target", "capital": "shared", "leverage": 5.0}
    batch = Batch(200, market=span, autoreset="disabled", episode=None, random_start=False, **given)
    rng = np.random.default_rng(0)
    batch.reset(0)
    often = rng.uniform(0.02, 0.5, (200, 1))  # how often each policy decides
    for _ in range(bars // 8):
        hold = rng.random((200, 2)) > often
        carry = rng.dirichlet((0.5, 0.5, 0.7), 200)[:, :2]
        move = np.stack([hold, carry, np.ones((200, 2)), np.full((200, 2), 5.0)], axis=-1).reshape(
            200, -1
        )
        batch.step(move.astype(np.float32))
    grown = np.log(batch.store.account[:, t.EQUITY] / batch.config.initial_equity)
    bound = portfolio_bound(batch, 0, leverage=5.0, steps=bars)
    assert grown.max() < bound
    assert grown.std() > 0.0
    rollout = roll_out(agents.make("venue_clairvoyant", leverage=5.0), span, SETTINGS)[0]
    reached = np.log(rollout.equity[bars // 8] / rollout.equity[0])
    assert grown.max() < reached < bound


def test_the_clairvoyant_refuses_inverse_contracts_beside_linear_ones(market: Market) -> None:
    both = replace(market, symbols=((market.symbols[0][0], "coin:PLAIN"),))
    agent = agents.make("venue_clairvoyant")
    batch = Batch(1, market=both, **SETTINGS | {"venues": COIN_VENUES} | agent.env_settings())
    with pytest.raises(AgentError, match="inverse"):
        agent.bind(batch)
