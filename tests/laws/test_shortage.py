"""Too little money for the orders: the target becomes smaller, its hedge ratio stays, and what an
order closes is closed.

The account of the tapes: 30,000 quote, carry 1, leverage 2 at price 100, so 200 units of each leg
and no cash.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fundenv.dynamics import types as t
from fundenv.dynamics.shares import share_held
from tests.laws.play import FLAT, HOLD, action, make_env, play
from tests.laws.test_reference import walk
from tests.markets import bar, tape

MODES = pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
SHORT = (1.0, 1.0, 2.0)
HALF = (0.5, 1.0, 2.0)


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
@pytest.mark.parametrize("hedge", [0.75, 1.0, 1.25])
def test_short_funds_shrink_both_legs_and_keep_the_hedge_ratio(hedge, margin_mode):
    # carry 1 at leverage 2 needs all 30,000, the fees come on top: both legs shrink until free cash
    # is 0
    info = play(
        make_env(tape(*[bar(100)] * 5), margin_mode=margin_mode, perp_fee=0.005, spot_fee=0.01),
        [(1.0, hedge, 2.0)],
    )[0]
    perp, spot = info["trade"]["filled_perp"][0], info["trade"]["filled_spot"][0]
    assert spot == pytest.approx(-hedge * perp, rel=1e-9)
    needed = 200 * 100 * (0.5 + 0.005 + hedge * 1.01)
    k = min(1.0, 30_000 / needed)
    assert (k < 1) == (hedge >= 1)
    assert perp == pytest.approx(-200 * k, rel=1e-9)
    assert info["account"]["cash"] == pytest.approx(30_000 - needed * k, abs=1e-6)
    assert info["trade"]["reason"][0] == ("not enough funds" if k < 1 else "none")


def test_two_assets_share_one_purse():
    # each asks for 100 units; fees of 1 % and 0.5 % exceed the purse; both shrink by the same
    # factor
    row = [bar(100), bar(100)]
    info = play(
        make_env(tape(row, row, row, symbols=("PLAIN", "OTHER")), perp_fee=0.005, spot_fee=0.01),
        [[SHORT, SHORT]],
    )[0]
    k = 30_000 / (20_000 * 1.515)
    assert info["trade"]["filled_perp"] == pytest.approx([-100 * k] * 2, rel=1e-9)
    assert info["trade"]["filled_spot"] == pytest.approx([100 * k] * 2, rel=1e-9)
    assert info["account"]["cash"] == pytest.approx(0.0, abs=1e-6)


def test_an_order_that_frees_cash_is_never_shrunk_for_lack_of_it():
    # a payment of 2 % leaves cash 0 and the wallet short; selling out must still work whole
    market = tape(bar(100), bar(100), bar(110, settle_rate=-0.02, settle_price=110.0), bar(110))
    info = play(make_env(market, perp_fee=0.005, spot_fee=0.01), [SHORT, FLAT])[1]
    assert info["account"]["spot"][0] == info["account"]["perp"][0] == 0.0
    assert info["equity"] == info["account"]["cash"]


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
@pytest.mark.parametrize("swapped", [False, True])
def test_an_asset_that_releases_cash_is_filled_whole_while_another_shrinks(swapped, margin_mode):
    # A: 100 short, 100 spot, wallet 5,000, cash 15,000. Then A halves: + 5,000 + 2,500. B wants 75
    # short at leverage 1 and 112.5 of spot and opens at 200: 22,500 + 15,000 of the 22,500 there
    # are: 0.6 of it
    def order(a, b):
        return [b, a] if swapped else [a, b]

    rows = [[bar(100), bar(100)]] * 2 + [order(bar(100), bar(200))] * 2
    moves = [order(SHORT, FLAT), order(HALF, (1.0, 1.5, 1.0))]
    info = play(make_env(tape(*rows, symbols=("PLAIN", "OTHER")), margin_mode=margin_mode), moves)[
        1
    ]
    account, trade = info["account"], info["trade"]
    assert order(*trade["reason"]) == ["none", "not enough funds"]
    assert order(*account["perp"]) == pytest.approx([-50, -45], rel=1e-9)
    assert order(*account["spot"]) == pytest.approx([50, 67.5], rel=1e-9)
    assert account["cash"] == pytest.approx(0.0, abs=1e-6)
    assert account["margin"].sum() == pytest.approx(2_500 + 9_000, rel=1e-9)


def test_shrunk_orders_pass_the_minimum_notional_again():
    # 200 units asked at 100; the bar opens at 3,000: 900,000 are needed, k = 1/30: 6.67, in lots
    # 6.5 units: 650 at the last close. That is below 1,000 for the perpetual and above 500 for spot
    market = tape(bar(100), bar(3000), bar(3000), symbols=("COSTLY",))
    info = play(make_env(market, cost_scale=0.0), [SHORT])[0]
    assert info["trade"]["filled_perp"][0] == 0.0
    assert info["trade"]["filled_spot"][0] == 6.5
    assert info["trade"]["reason"][0] == "not enough funds"


def test_a_billionth_of_the_cash_trades_nothing():
    # hedge 1.5 takes 30,000 for three quarters of the target, 150 and 225 units; a settlement pays
    # 1e-7, and the rest would cost 10,000: k = 1e-11
    market = tape(
        bar(100), bar(100), bar(100, settle_rate=1e-7 / 15_000, settle_price=100.0), bar(100)
    )
    opened, more = play(make_env(market), [(1.0, 1.5, 2.0)] * 2)
    assert opened["account"]["spot"][0] == pytest.approx(225, rel=1e-12)
    assert opened["account"]["cash"] == pytest.approx(0.0, abs=1e-10)
    assert 0.99e-7 < more["account"]["cash"] <= 1.01e-7
    assert more["trade"]["filled_spot"][0] == more["trade"]["filled_perp"][0] == 0.0
    assert more["trade"]["reason"][0] == "not enough funds"


def test_the_part_of_a_reversal_that_closes_is_filled_whole():
    # from long beside borrowed units to short beside owned ones; fees of 5 % allow only a part of
    # what opens, and both legs of it alike
    market = tape(*[bar(100)] * 4)
    opened, back = play(
        make_env(market, spot_fee=0.05, perp_fee=0.05), [(-1.0, 1.0, 2.0), (1.0, 1.0, 2.0)]
    )
    assert opened["account"]["perp"][0] > 0
    assert back["trade"]["reason"][0] == "not enough funds"
    assert back["account"]["perp"][0] < 0
    assert back["account"]["spot"][0] == pytest.approx(-back["account"]["perp"][0], rel=1e-9)


@MODES
def test_the_keeper_adds_nothing_to_a_carry_whose_profit_is_locked_in_the_wallet(margin_mode):
    # reverse carry, 20/21 of 30,000 at leverage 20: 285.7 long beside 285.7 borrowed units. At 600
    # the wallet has 142,857 of profit and 1,428.57, less than the maintenance of 1 %, and a tenth
    # of that would be enough: the keeper asks for 15.8 times more. The borrowed units are worth
    # 114,286 more than the cash; the wallet gives back nothing, with more or without, and the
    # maker's rebate would make more look cheaper than nothing
    market = tape(bar(100), bar(100), bar(100, 600), bar(600), bar(600))
    settings = {
        "margin_mode": margin_mode,
        "max_leverage": 20.0,
        "keeper_interval": "1h",
        "spot_fee": -0.0001,
    }
    moves = [(-1.0, 1.0, 20.0), HOLD, HOLD]
    env, left = make_env(market, **settings), iter(moves)
    walk(
        env,
        market,
        settings,
        0,
        0,
        np.random.default_rng(),
        3,
        Counter(),
        lambda rng, assets: [next(left)],
    )
    opened, _, kept = play(env, moves)
    assert opened["account"]["perp"][0] == pytest.approx(20 / 21 * 300)
    assert kept["trade"]["reason"][0] == "not enough funds"
    for leg in ("spot", "perp"):
        assert kept["trade"][f"filled_{leg}"][0] == 0.0
        assert kept["account"][leg][0] == opened["account"][leg][0]


def test_a_reversal_that_funds_stop_short_closes_the_old_position_exactly():
    # COSTLY, lots of 0.5. 10.3 long and 51 of equity, of which the fees of closing leave 3.6: k =
    # 1/3 of the 0.2 asked beyond it, 10.37: not 10.0
    env = make_env(tape(*[bar(100)] * 4, symbols=("COSTLY",)), perp_fee=0.045, ruin_fraction=0.0)
    play(env, [FLAT])
    store = env.batch.store
    store.account[0, [t.CASH, t.EQUITY]] = 31.0, 51.0
    store.legs[0, 0, [t.PERP, t.ENTRY, t.MARGIN]] = 10.3, 100.0, 20.0
    info = env.step(action([SHORT]))[-1]
    assert info["trade"]["requested_perp"][0] == pytest.approx(-10.64)
    assert info["trade"]["reason"][0] == "not enough funds"
    assert info["account"]["perp"][0] == 0.0


@MODES
def test_a_shortage_by_rounding_is_none(margin_mode):
    # carry 1 takes all equity; summed up leg by leg the orders are often 1e-12 quote too dear
    for price, leverage in np.random.default_rng(0).uniform([0.1, 1.0], [1e3, 9.0], (40, 2)):
        info = play(
            make_env(tape(*[bar(price)] * 3), margin_mode=margin_mode), [(1.0, 1.0, leverage)]
        )[0]
        assert info["trade"]["reason"][0] == "none"
        assert info["account"]["cash"] == pytest.approx(0.0, abs=1e-9)


def test_what_rounding_leaves_of_a_target_is_no_target():
    # 17 coins held, all to be sold: -1e-15 of them is not the other side, which would close the
    # perpetual beside them
    share = getattr(share_held, "py_func", share_held)
    assert share(17.0, -1e-15) == share(17.0, 1e-15) == share(17.0, 0.0) == share(0.0, 0.0) == 1.0
    assert share(17.0, -1.0) == share(0.0, 17.0) == 0.0
    assert share(17.0, 34.0) == 0.5
