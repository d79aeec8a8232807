"""Several venues in one account: each leg by the rules of its own, against the slow account and by
hand; the law of the books over many random steps.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from fundenv.checks import check_accounting
from fundenv.config import ConfigError
from fundenv.venues import VenueError
from tests.laws.play import HOLD, make_env, play
from tests.laws.test_reference import EVERYTHING, EXAMPLES, PATHS, walk_paths
from tests.laws.wild import (
    OWN_VENUES,
    PLACED,
    SEEDS,
    away_settings,
    failing_settings,
    placed_settings,
)
from tests.markets import bar, tape, wild_market

FOLDER = Path(__file__).parent


def test_kernel_and_reference_agree_on_several_venues():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES // 2, **EVERYTHING)
    @given(SEEDS, PLACED, placed_settings())
    def check(seed, assets, chosen):
        market = wild_market(seed, assets, PATHS)
        walk_paths(market, chosen, seed, seen)

    check()
    assert seen["steps"] > 2_500, seen
    assert seen["liquidations"] > 150, seen
    assert seen["partial liquidations"] > 50, seen
    for reason in ("not enough funds", "below lot or minimum notional", "participation"):
        assert seen[reason] > 20, (reason, seen)


def test_kernel_and_reference_agree_where_money_travels():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES, **EVERYTHING)
    @given(SEEDS, PLACED, away_settings())
    def check(seed, assets, chosen):
        market = wild_market(seed, assets, PATHS, listings=len(assets) > 1)
        walk_paths(market, chosen, seed, seen)

    check()
    assert seen["steps"] > 5_000, seen
    assert seen["money under way"] > 500, seen
    assert seen["liquidations"] > 100, seen
    assert seen["not enough funds"] > 500, seen


def test_kernel_and_reference_agree_where_a_venue_fails():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES, **EVERYTHING)
    @given(SEEDS, PLACED, failing_settings())
    def check(seed, assets, chosen):
        account = Path(chosen["venue"]).stem
        market = wild_market(seed, assets, PATHS, failures=True, account=account)
        walk_paths(market, chosen, seed, seen)

    check()
    assert seen["steps"] > 4_000, seen
    assert seen["the venue failed"] > 30, seen


def two_shorts(*assets: str, **last: float) -> Any:
    """Three bars of two assets at 100; `last` are columns of both in the third."""
    rows = [[bar(100.0), bar(100.0)], [bar(100.0), bar(100.0)]]
    return tape(*rows, [bar(100.0, **last), bar(100.0, **last)], symbols=assets)


def test_each_asset_settles_on_its_own_clock_and_at_its_own_price():
    """plain pays on mark (101), tiered on its oracle: the last spot close (100). A short of half of
    30,000 at leverage 1 in two assets: 75 base units each.
    """
    market = tape(
        [bar(100.0), bar(100.0)],
        [bar(100.0), bar(100.0)],
        [
            bar(100.0, settle_rate=0.001, settle_price=101.0),
            bar(100.0, settle_rate=0.001, settle_price=101.0),
        ],
        [bar(100.0), bar(100.0, settle_rate=0.001, settle_price=101.0)],
        symbols=("plain:PLAIN", "tiered:PLAIN@plain:PLAIN"),
    )
    env = make_env(market, venues=OWN_VENUES)
    short = (1.0, 1.0, 1.0)
    first, both, one = play(env, [[short, short], [HOLD, HOLD], [HOLD, HOLD]])
    assert first["account"]["perp"] == pytest.approx([-75.0, -75.0])
    assert first["parts"]["funding"] == 0.0
    assert both["parts"]["funding"] == pytest.approx(75 * 0.001 * (101.0 + 100.0), abs=1e-9)
    assert one["parts"]["funding"] == pytest.approx(75 * 0.001 * 100.0, abs=1e-9)


def test_each_leg_pays_the_fee_of_its_own_venue(tmp_path):
    dear = tmp_path / "dear.toml"
    dear.write_text(
        'extends = "binance"\nname = "dear"\n[fees]\n'
        'perp_taker = { value = 0.01, source = "made up", date = "2024" }\n'
        'spot_taker = { value = 0.02, source = "made up", date = "2024" }\n'
    )
    cases = {"PLAIN": (0.0005, 0.001), "dear:PLAIN@plain:PLAIN": (0.01, 0.001)}
    cases |= {"PLAIN@dear:PLAIN": (0.0005, 0.02), "dear:PLAIN": (0.01, 0.02)}
    for asset, (perp, spot) in cases.items():
        market = tape(bar(100.0), bar(100.0), bar(100.0), symbols=(asset,))
        env = make_env(
            market,
            venues=(*OWN_VENUES, str(dear)),
            perp_fee=None,
            spot_fee=None,
            cost_scale=0.0,
        )
        (info,) = play(env, [(0.5, 1.0, 1.0)])
        filled = info["trade"]
        paid = 100 * (perp * abs(filled["filled_perp"][0]) + spot * abs(filled["filled_spot"][0]))
        assert info["parts"]["fees"] == pytest.approx(-paid, rel=1e-12), asset


def test_a_rally_takes_the_leg_whose_venue_asks_for_more_margin():
    """Shorts at leverage 10 on maintenance at 1 % of mark: 10 = p - 100 + 0.01 p gives 108.91. On
    maintenance at entry: 10 - 1 = p - 100 gives 109. A high between the two takes one of them.
    """
    market = two_shorts("plain:PLAIN", "entry:PLAIN@plain:PLAIN", high=108.95)
    env = make_env(market, venues=OWN_VENUES, after_liquidation="naked")
    short = (1.0, 1.0, 10.0)
    info = play(env, [[short, short], [HOLD, HOLD]])[-1]
    assert list(info["liquidated"]) == [1, 0]


def test_what_one_account_cannot_hold_is_refused():
    market = two_shorts("plain:PLAIN", "tiered:PLAIN")
    with pytest.raises(ConfigError, match=r"one wallet of one venue, and .* on several .*'cross'"):
        make_env(market, venues=OWN_VENUES, margin_mode="portfolio")
    alone = tape(bar(100.0), bar(100.0), symbols=("tiered:PLAIN@plain:PLAIN",))
    make_env(alone, venues=OWN_VENUES, margin_mode="cross")
    with pytest.raises(ConfigError, match="portfolio"):
        make_env(alone, venues=OWN_VENUES, margin_mode="portfolio")
    with pytest.raises(VenueError, match="unknown venue 'tiere'; did you mean tiered"):
        make_env(two_shorts("plain:PLAIN", "tiere:PLAIN"), venues=OWN_VENUES)
    with pytest.raises(VenueError, match="expected SYMBOL, VENUE:SYMBOL or"):
        make_env(two_shorts("plain:PLAIN", "a:b:c"), venues=OWN_VENUES)


def test_the_books_add_up_where_money_travels_and_a_venue_fails():
    assets = ["tiered:PLAIN", "entry:COSTLY@plain:COSTLY", "tiered:FINE@plain:FINE"]
    market = wild_market(1, assets, paths=8, length=400, failures=True)
    settings = {"venue": OWN_VENUES[0], "venues": OWN_VENUES, "max_leverage": 20.0}
    settings |= {"transfer_delay": "2h", "transfer_cost": 3.0, "after_liquidation": "rehedge"}
    # 40,000 steps
    check_accounting(250, 160, market=market, decision_interval="1h", episode="72h", **settings)


def away(*rows: Any, **settings: Any) -> Any:
    """An env whose second venue is two hours away."""
    market = tape(*rows, symbols=("tiered:PLAIN@plain:PLAIN",))
    given = {"venues": OWN_VENUES, "transfer_delay": "2h", "transfer_cost": 10.0}
    return make_env(market, **(given | settings))


def test_money_leaves_arrives_and_opens_the_position_at_the_next_decision():
    """Full carry at leverage 3 of 30,000: 22,500 of notional, 7,500 of margin."""
    env = away(*[bar(100.0)] * 6, decision_interval="1h")
    first, second, third = play(env, [(1.0, 1.0, 3.0), HOLD, (1.0, 1.0, 3.0)])
    assert first["trade"]["reason"][0] == "not enough funds"
    assert first["account"]["perp"][0] == first["account"]["spot"][0] == 0.0
    assert first["account"]["sent"][0] == pytest.approx(7_490.0)
    assert first["account"]["cash"] == pytest.approx(22_500.0)
    assert first["equity"] == pytest.approx(29_990.0)
    assert first["parts"]["fees"] == pytest.approx(-10.0)
    assert second["account"]["sent"][0] == first["account"]["sent"][0]
    assert third["account"]["margin"][0] == pytest.approx(7_490.0)
    assert third["account"]["perp"][0] == pytest.approx(-224.7)


def test_a_rally_liquidates_while_the_profit_waits_on_the_other_venue():
    """A hedged short at leverage 3 that gained as much on its spot as it lost: the same market and
    account keep the position where money moves at once.
    """
    rise = [bar(100.0 + 12.0 * k, 112.0 + 12.0 * k) for k in range(4)]
    rows = [*[bar(100.0)] * 6, *rise, bar(148.0)]
    # the keeper of a home wallet sells spot for margin; the away one can only make the legs smaller
    target = (1.0, 1.0, 3.0)
    quick = {"transfer_delay": None, "transfer_cost": 0.0}
    held = {}
    for name, settings in (("away", {}), ("at once", quick)):
        env = away(
            *rows, after_liquidation="naked", keeper_up=1.3, keeper_interval="1h", **settings
        )
        infos = play(env, [target, HOLD, HOLD, target, *[HOLD] * 6])
        assert infos[3]["account"]["perp"][0] < -220.0, name
        held[name] = sum(int(info["liquidated"][0]) for info in infos), infos[-1]
    assert held["at once"][0] == 0
    assert held["at once"][1]["account"]["perp"][0] < held["away"][1]["account"]["perp"][0]


def test_what_travels_belongs_to_no_other_margin():
    for settings, words in (
        ({"margin_mode": "portfolio"}, "isolated and cross wallets of linear"),
        ({"transfer_delay": None}, "transfer_delay is None; set it"),
        ({"transfer_delay": "90min"}, "not a multiple"),
    ):
        with pytest.raises(ConfigError, match=words):
            away(bar(100.0), bar(100.0), **settings)
