"""Too little money for the orders: the target becomes smaller, its hedge ratio stays, and what an
order closes is closed.

The account of the tapes: 30,000 quote, carry 1, leverage 2 at price 100, so 200 units of each leg
and no cash. A rally to 150 liquidates the short at 148.51 (`test_liquidation`): 200 units of spot
and 148.51 quote are left.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fundenv.dynamics import types as t
from fundenv.dynamics.shares import share_held
from fundenv.envs.single import FundingHedgeEnv
from fundenv.market import layout, load_market
from tests.laws.play import FLAT, HOLD, action, make_env, play
from tests.laws.test_reference import EVERYTHING, walk
from tests.laws.wild import SEEDS, full_targets, poor_settings
from tests.markets import bar, tape, wild_market

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


def after_a_rally(*, high: float = 150.0, rows: int = 2):
    return tape(bar(100), bar(100), bar(100, high), *[bar(high)] * rows)


@MODES
@pytest.mark.parametrize(("hedge", "leverage"), [(1.0, 2.0), (1.0, 10.0), (0.5, 10.0), (1.25, 4.0)])
@pytest.mark.parametrize("after", ["flatten", "rehedge", "naked"])
def test_an_entry_beside_unhedged_spot_hedges_it(after, hedge, leverage, margin_mode):
    # at leverage 10 the spot sold, 1/11 of the equity, is what the margin needs, and the fees on
    # top are too much: k of the target, on both legs. Hedge 1.25 at leverage 4 needs 1.5 of the
    # notional where the target counts on 1.25
    env = make_env(
        after_a_rally(),
        margin_mode=margin_mode,
        after_liquidation=after,
        perp_fee=0.001,
        spot_fee=0.002,
    )
    _, hit, back = play(env, [SHORT, HOLD, (1.0, hedge, leverage)])
    assert list(hit["liquidated"]) == [1]
    assert hit["account"]["perp"][0] == 0
    account = back["account"]
    assert account["spot"][0] == pytest.approx(-hedge * account["perp"][0], rel=1e-9)
    asked = hit["equity"] * leverage / (1 + leverage) / 150
    assert 0.8 * asked < -account["perp"][0] <= asked * (1 + 1e-9)
    assert account["cash"] >= -1e-6
    if hedge >= 1:
        assert back["trade"]["reason"][0] == "not enough funds"
        # the chord turns where a sale becomes a purchase, and lies a little low
        assert account["cash"] == pytest.approx(0.0, abs=1.0)


def test_the_sale_and_the_entry_by_hand():
    # spot is free of fees, the perpetual costs 1 %, leverage 9: the target is 0.9 E. With all spot
    # sold f(0) = E, with the entry f(1) = E - 0.9 E (1 + 1/9 + 0.01) = -0.009 E: k = 1 / 1.009 of
    # the target on both legs, where the sale alone would have been refused
    _, hit, back = play(make_env(after_a_rally(), perp_fee=0.01), [SHORT, HOLD, (1.0, 1.0, 9.0)])
    target = 0.9 * hit["equity"] / 150
    assert hit["equity"] == pytest.approx(
        150 * hit["account"]["spot"][0] + hit["account"]["cash"], rel=1e-12
    )
    assert back["trade"]["requested_spot"][0] == pytest.approx(
        target - hit["account"]["spot"][0], rel=1e-9
    )
    assert back["account"]["perp"][0] == pytest.approx(-target / 1.009, rel=1e-6)
    assert back["account"]["spot"][0] == pytest.approx(target / 1.009, rel=1e-6)
    assert back["equity"] == pytest.approx(hit["equity"] * (1 - 0.009 / 1.009), rel=1e-6)


@MODES
@pytest.mark.parametrize("after", ["flatten", "rehedge", "naked"])
def test_an_entry_above_the_limit_of_the_brackets_is_hedged_too(after, margin_mode):
    # FINE allows leverage 30 up to 120,000 only: 800 units at 150, while 2,000 of spot stand
    # unhedged and 1,935 are asked for
    settings = {
        "margin_mode": margin_mode,
        "after_liquidation": after,
        "initial_equity": 300_000.0,
        "max_leverage": 30.0,
        "cost_scale": 0.0,
    }
    market = tape(bar(100), bar(100), bar(100, 150), *[bar(150)] * 3, symbols=("FINE",))
    _, hit, back, more = play(
        make_env(market, **settings), [SHORT, HOLD, (1.0, 1.0, 30.0), (1.0, 0.5, 30.0)]
    )
    assert hit["account"]["perp"][0] == 0
    assert hit["account"]["spot"][0] > 1_900
    assert back["account"]["perp"][0] == pytest.approx(-800, abs=0.1)
    assert back["account"]["spot"][0] == pytest.approx(800, abs=0.1)
    assert back["trade"]["reason"][0] == "leverage limit of the bracket"
    assert more["account"]["perp"][0] == pytest.approx(-800, abs=0.1)
    # at the limit the hedge may still be changed
    assert more["account"]["spot"][0] == pytest.approx(400, abs=0.1)


@MODES
def test_a_hedge_that_nobody_can_pay_for_is_made_by_closing_the_perpetual(margin_mode):
    # 300 short without hedge at leverage 1, no cash. A hedge of 1 for 150: 150 x 100 + 150 x 100;
    # with a fee of 1 % on spot k = 30,000 / 30,150
    market = tape(*[bar(100)] * 4)
    env = make_env(market, margin_mode=margin_mode, spot_fee=0.01)
    _, back = play(env, [(1.0, 0.0, 1.0), (1.0, 1.0, 1.0)])
    assert back["account"]["perp"][0] == pytest.approx(-150 * 30_000 / 30_150, rel=1e-9)
    assert back["account"]["spot"][0] == pytest.approx(-back["account"]["perp"][0], rel=1e-9)


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


def test_more_is_sold_within_the_volume_of_the_bar_only():
    # 3 % of a bar's 500 units of spot: 15 units at most, of some 17 that are asked for, and more
    # that the shortage would have sold
    rows = [bar(100), bar(100), bar(100, 150), *[bar(150, spot_volume=500.0)] * 2]
    _, hit, back = play(
        make_env(tape(*rows), perp_fee=0.02, max_participation=0.03), [SHORT, HOLD, (1.0, 1.0, 9.0)]
    )
    assert hit["account"]["perp"][0] == 0
    assert back["trade"]["requested_spot"][0] < -15
    assert back["trade"]["filled_spot"][0] == pytest.approx(-15, rel=1e-9)
    assert back["account"]["perp"][0] < 0


def test_a_shortage_never_spoils_a_hedge_and_never_gives_up_a_reduction():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=100, **EVERYTHING)
    @given(SEEDS, poor_settings())
    def check(seed, chosen):
        symbols = ("PLAIN", "PLAIN2")  # without lots and minimum notional
        # an empty pool of quote: what pays back coins needs quote, and is all that is left (7.10)
        chosen |= {"margin_level": 0.0, "quote_supply": 0.0}
        rng, env = np.random.default_rng(seed), make_env(wild_market(seed, symbols, 2), **chosen)
        for path in range(2):
            env.reset(options={"path": path, "start": 0})
            before = {"spot": np.zeros(2), "perp": np.zeros(2)}
            for _ in range(40):
                _, _, terminated, truncated, info = env.step(action(full_targets(rng, 2)))
                for a in np.flatnonzero(info["liquidated"] == 0):
                    _check_leg(seen, info["trade"], before, a)
                before = info["account"]
                if terminated or truncated:
                    break

    check()
    assert seen["short"] > 300
    assert seen["closes"] > 100
    assert seen["hedged"] > 100


def _check_leg(seen, trade, before, a):
    """The two laws for one asset of one step without liquidations: what its order closes is filled,
    and its hedge ratio is not worse than it was.
    """
    if trade["reason"][a] != "not enough funds":
        return
    seen["short"] += 1
    legs = ("spot", "perp")
    held, asked, filled = (
        np.array([source[a] for source in sources])
        for sources in (
            [before[leg] for leg in legs],
            [trade[f"requested_{leg}"] for leg in legs],
            [trade[f"filled_{leg}"] for leg in legs],
        )
    )
    if not asked.any():
        return  # an order after a liquidation, which nobody asked for in this step
    unit = np.abs(held) + np.abs(asked)
    closes = np.where(held * asked < 0, np.minimum(np.abs(asked), np.abs(held)), 0.0)
    seen["closes"] += bool((closes > 1e-6 * unit).any())
    assert (np.sign(asked) * filled >= closes - 1e-9 * unit)[closes > 0].all(), (
        held,
        asked,
        filled,
    )
    target, now = held + asked, held + filled
    if abs(now[1]) > 1e-6 * unit[1] and abs(target[1]) > 1e-6 * unit[1]:
        seen["hedged"] += 1
        assert now[0] / now[1] == pytest.approx(target[0] / target[1], rel=1e-6, abs=1e-6), (
            held,
            asked,
            filled,
        )


def test_lots_and_minimum_notional_never_leave_a_debt():
    # 22.5 short at leverage 1, 450 of cash. A hedge of 1.5 costs 675: a shrunk target closes 4.5 of
    # the short, which is below 100 quote and dropped
    opened, hedged = play(
        make_env(tape(*[bar(20)] * 4, symbols=("FINE",)), initial_equity=900.0),
        [(1.0, 0.0, 1.0), (1.0, 1.5, 1.0)],
    )
    assert opened["account"]["cash"] == pytest.approx(450, abs=0.1)
    assert hedged["trade"]["reason"][0] == "not enough funds"
    assert hedged["account"]["perp"][0] == -22.5
    assert 22 < hedged["account"]["spot"][0] < 22.5
    assert 0 <= hedged["account"]["cash"] < 10


def test_where_selling_more_would_cost_more_nothing_is_opened_and_what_closes_is_sold():
    # 450 units of spot beside 300 short leave nothing of 3,000; with 0.8 of both, 359 beside 240,
    # what is adjusted is all initial margin. Then 330 beside 300 are asked for. Spot trades one
    # unit a day: 0.7 x 0.04 x sqrt(30) = 15 % are lost on 30 units, and 5 % of the value were no
    # collateral: 300 less, and 300 of margin for 60 short. The least orders sell 72 at a loss of 24
    # %: 1,350 less. So no smaller target helps
    calm, thin = bar(100), bar(100, spot_day_volume=1.0)
    market = tape(calm, calm, thin, calm, symbols=("FINE",))
    settings = {"margin_mode": "portfolio", "initial_equity": 3_000.0, "max_leverage": 20.0}
    env, moves = make_env(market, **settings), [(1.0, 1.5, 20.0), (1.0, 1.1, 20.0)]
    left = iter(moves)
    walk(
        env,
        market,
        settings,
        0,
        0,
        np.random.default_rng(),
        2,
        Counter(),
        lambda rng, assets: [next(left)],
    )
    opened, sold = play(env, moves)
    held, trade = opened["account"], sold["trade"]
    assert held["spot"][0] == pytest.approx(359.3, abs=0.1)
    assert held["cash"] + 0.95 * 100 * held["spot"][0] == pytest.approx(
        100 * -held["perp"][0] / 20, abs=5.0
    )
    assert trade["requested_perp"][0] == pytest.approx(-59.9, abs=0.1)
    assert trade["filled_perp"][0] == 0.0
    assert trade["requested_spot"][0] == pytest.approx(-29.93, abs=0.01)
    assert trade["filled_spot"][0] == pytest.approx(trade["requested_spot"][0], abs=1e-5)  # a lot
    assert trade["reason"][0] == "not enough funds"


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


SIZED = st.sampled_from([("FINE",), ("COSTLY",), ("FINE", "COSTLY"), ("COSTLY", "FINE", "PLAIN")])


def test_nothing_is_opened_on_borrowed_quote():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=200, **EVERYTHING)
    @given(SEEDS, SIZED, poor_settings(), st.sampled_from([300.0, 3_000.0, 100_000.0]))
    def check(seed, symbols, chosen, equity):
        free = {
            "quote_borrow_rate": 0.0,
            "base_borrow_rate": 0.0,
            "borrow_steep": 0.0,
            "margin_level": 0.0,
            "initial_equity": equity,
        }
        rng, market = np.random.default_rng(seed), wild_market(seed, symbols, 2)
        env = make_env(market, **(chosen | free))
        for path in range(2):
            env.reset(options={"path": path, "start": 0})
            legs, leverage = ("spot", "perp"), np.ones(len(symbols))
            before = np.zeros((2, len(symbols)))
            for _ in range(40):
                move = full_targets(rng, len(symbols))
                leverage = np.array(
                    [
                        old if target is None else target[2]
                        for old, target in zip(leverage, move, strict=True)
                    ]
                )
                _, _, terminated, truncated, info = env.step(action(move))
                now = np.array([info["account"][leg] for leg in legs])
                seen["short"] += "not enough funds" in info["trade"]["reason"]
                if not info["liquidated"].any():
                    opened = ((np.abs(now) > np.abs(before)) | (now * before < 0)).any()
                    left = _free_at_the_open(
                        market.bars[info["row"]], info, leverage, chosen["margin_mode"]
                    )
                    if left < -1e-9 * max(equity, info["equity"]):
                        seen["debts"] += 1
                        assert not opened, (before, now, left)
                before = now
                if terminated or truncated:
                    break

    check()
    assert seen["short"] > 500
    assert seen["debts"] > 10


def _free_at_the_open(bars, info, leverage, margin_mode):
    """f of what was filled, at the opens of a bar: free cash less what the wallets lack; in
    portfolio mode adjusted equity less initial margin.
    """
    account, traded = (
        info["account"],
        (info["trade"]["filled_spot"] != 0) | (info["trade"]["filled_perp"] != 0),
    )
    spot, size = (
        account["spot"] * bars[:, layout.SPOT_OPEN],
        account["perp"] * bars[:, layout.PERP_OPEN],
    )
    held = (
        np.where(size != 0, size - account["perp"] * account["entry"], 0.0)
        - np.abs(size) / leverage
    )
    if margin_mode == "portfolio":
        return account["cash"] + (np.minimum(spot, 0.95 * spot) + held).sum()
    wallets = account["margin"] + held
    lacking = (
        min(wallets.sum(), 0.0)
        if margin_mode == "cross"
        else np.minimum(wallets, 0.0)[traded].sum()
    )
    return account["cash"] + np.minimum(spot, 0.0).sum() + lacking


@pytest.mark.parametrize("leverage", [3.0, 5.0, 10.0])
@pytest.mark.parametrize("keeper", ["1h", None])
def test_an_entry_behind_the_xrp_squeeze_of_july_2023_is_hedged(leverage, keeper):
    """The ruling of 2023-07-13 liquidated every levered short of XRP; an agent that asks for its
    carry again an hour later held 1.9 times its hedge.
    """
    if "FUNDENV_DATA" not in os.environ:
        pytest.skip("FUNDENV_DATA is unset: no real market data")
    market = load_market(os.environ["FUNDENV_DATA"], ["XRPUSDT"])
    where = np.searchsorted(
        market.close_ns, np.datetime64("2023-07-13T12:00", "ns").astype(np.int64)
    )
    path = int(np.searchsorted(market.paths[:, 0], where, side="right")) - 1
    settings = {
        "actions": "target",
        "decision_interval": "1h",
        "keeper_interval": keeper,
        "random_start": False,
        "start_invested": 0.0,
    }
    env = FundingHedgeEnv(market=market, info=True, max_leverage=10.0, **settings)
    env.reset(options={"path": path, "start": int(where - market.paths[path, 0])})
    carry, liquidated = action([(1.0, 1.0, leverage)]), False
    for _ in range(8):
        info = env.step(carry)[-1]
        account = info["account"]
        if liquidated and not info["liquidated"].any():
            assert account["perp"][0] < 0
            assert account["spot"][0] == pytest.approx(-account["perp"][0], rel=1e-6)
            return
        liquidated = bool(info["liquidated"].any())
    raise AssertionError("no short was liquidated")
