"""Inverse contracts beside linear ones in one account: against the slow account, and by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from fundenv.checks import check_accounting
from fundenv.config import ConfigError
from fundenv.market import layout
from tests.laws.play import HOLD, make_env, play
from tests.laws.test_causality import SETTINGS, corrupted, random_moves, same
from tests.laws.test_reference import EVERYTHING, EXAMPLES, PATHS, walk
from tests.laws.wild import (
    COIN_HOME,
    COIN_VENUES,
    MIXED,
    OWN_VENUES,
    SEEDS,
    mixed_away_settings,
    mixed_settings,
)
from tests.markets import PLAIN_VENUE, bar, tape, wild_market
from tests.oracle.mixed import MixedAccount

VENUES = (*OWN_VENUES, *COIN_VENUES)
BOTH = ("PLAIN", "coin:PLAIN")


def against_the_slow_account(names: Any, settings: Any, examples: int) -> Counter[str]:
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=examples, **EVERYTHING)
    @given(SEEDS, names, settings())
    def check(seed, assets, chosen):
        market = wild_market(seed, assets, PATHS, listings=True)
        env, rng = make_env(market, **chosen), np.random.default_rng(seed)
        for path in range(PATHS):
            start = int(rng.integers(0, 20))
            walk(env, market, chosen, path, start, rng, 40, seen, account=MixedAccount)

    check()
    return seen


def test_kernel_and_reference_agree_on_both_kinds_of_contract():
    seen = against_the_slow_account(MIXED, mixed_settings, EXAMPLES // 2)
    assert seen["steps"] > 2_500, seen
    assert min(seen[f"liquidated {mode}"] for mode in ("isolated", "cross")) > 50, seen
    for reason in ("not enough funds", "participation", "delisted"):
        assert seen[reason] > 20, (reason, seen)


def test_kernel_and_reference_agree_where_money_travels_beside_coins():
    seen = against_the_slow_account(COIN_HOME, mixed_away_settings, EXAMPLES // 4)
    assert seen["money under way"] > 500, seen
    assert seen["liquidations"] > 100, seen


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_each_kind_is_margined_settled_and_valued_in_its_own_money(margin_mode):
    """15,000 for each at 100. Linear, leverage 2: 100 short, 100 of spot, 5,000 of margin. Inverse,
    leverage 1: contracts worth 15,000 short, 150 coins bought, all of them margin; isolated needs
    15,000 / 100 = 150 too. A rise to 125: the linear short loses 2,500, its spot gains as much; the
    inverse short loses 15,000 (1 / 100 - 1 / 125) = 30 coins, and 120 coins at 125 are worth 15,000
    as before. Then both receive 1 % of what they are short: 100 x 125 x 1 % = 125, and
    15,000 / 125 x 1 % = 1.2 coins, worth 150.
    """
    paid = bar(125.0, settle_rate=0.01, settle_price=125.0)
    rows = [[bar(100.0)] * 2] * 2 + [[bar(100.0, 125.0)] * 2, [paid, paid]]
    env = make_env(tape(*rows, symbols=BOTH), venues=VENUES, margin_mode=margin_mode)
    moves = [[(1.0, 1.0, 2.0), (1.0, 1.0, 1.0)], [HOLD, HOLD], [HOLD, HOLD]]
    opened, risen, settled = play(env, moves)
    assert opened["account"]["perp"] == pytest.approx([-100.0, -15_000.0])
    assert opened["account"]["margin"] == pytest.approx([5_000.0, 150.0])
    assert opened["account"]["spot"] == pytest.approx([100.0, 0.0], abs=1e-9)
    assert opened["account"]["cash"] == pytest.approx(0.0, abs=1e-9)
    assert risen["equity"] == pytest.approx(30_000.0)
    assert risen["parts"]["perp_pnl"] == pytest.approx(-2_500 - 30 * 125)
    assert risen["parts"]["spot_pnl"] == pytest.approx(2_500 + 150 * 25)
    assert settled["parts"]["funding"] == pytest.approx(125.0 + 150.0)
    coins = settled["account"]["margin"][1] + settled["account"]["spot"][1]
    assert coins == pytest.approx(151.2)
    assert settled["equity"] == pytest.approx(30_275.0)


def test_the_books_add_up_with_both_kinds_of_contract():
    assets = ("plain:FINE", "coin:COSTLY", "tiered:COSTLY@plain:FINE", "coin_tier:FINE@plain:FINE")
    market = wild_market(1, assets, paths=8, length=400, listings=True)
    settings = {"venue": PLAIN_VENUE, "venues": VENUES, "max_leverage": 20.0}
    settings |= {"margin_mode": "cross", "after_liquidation": "rehedge"}
    # 40,000 steps
    check_accounting(250, 160, market=market, decision_interval="1h", episode="72h", **settings)


def test_a_pair_of_both_kinds_earns_the_difference_of_their_rates():
    """Short the linear contract at 1 %, long the inverse one at 0.5 %, no spot but what the long
    needs as margin: 100 x 100 x 1 % less 10,000 / 100 x 0.5 % coins at 100.
    """
    rows = [[bar(100.0)] * 2] * 2
    rows += [[bar(100.0, settle_rate=r, settle_price=100.0) for r in (0.01, 0.005)]]
    env = make_env(tape(*rows, symbols=BOTH), venues=VENUES)
    pair = [(1.0, 0.0, 2.0), (-2 / 3, 0.0, 2.0)]
    opened, settled = play(env, [pair, [HOLD, HOLD]])
    assert opened["account"]["perp"] == pytest.approx([-100.0, 10_000.0])
    assert settled["parts"]["funding"] == pytest.approx(100.0 - 50.0)


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_the_future_changes_nothing_beside_coins(margin_mode):
    steps, assets = 10, ("entry:FINE@plain:FINE", "coin:COSTLY", "FINE")
    settings: dict[str, Any] = SETTINGS | {"margin_mode": margin_mode, "venues": VENUES}
    settings |= {"ruin_fraction": 0.0}
    for seed in range(3):
        market = wild_market(seed, assets, length=3 * steps + 2)
        moves = random_moves(seed, steps, len(assets))
        whole = play(make_env(market, **settings), moves)
        assert len(whole) > 3
        for known in range(1, len(whole)):
            row = whole[known - 1]["row"]
            part = play(make_env(corrupted(market, row, seed), **settings), moves[:known])
            assert all(same(x, y) for x, y in zip(whole, part, strict=False)), (seed, known)


def test_what_an_account_of_both_kinds_cannot_do_is_refused():
    market = tape(*[[bar(100.0)] * 2] * 3, symbols=BOTH)
    with pytest.raises(ConfigError, match="one wallet of one venue"):
        make_env(market, venues=VENUES, margin_mode="portfolio")
    with pytest.raises(ConfigError, match=r"linear contracts, and coin:PLAIN has another"):
        make_env(market, venues=VENUES, transfer_delay="1h")
    bars = market.bars.copy()
    bars[1, 0, layout.HALTED] = layout.FROZEN
    with pytest.raises(ConfigError, match="coin:PLAIN has another"):
        make_env(replace(market, bars=bars), venues=VENUES)
