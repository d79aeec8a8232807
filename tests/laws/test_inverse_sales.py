"""Inverse contracts: what coins may be sold, borrowed or kept."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from fundenv.dynamics import types as t
from fundenv.market import layout
from tests.laws.coin_env import SHORT, WALLETS, coin_env
from tests.laws.play import FLAT, HOLD, action, make_env, play
from tests.laws.test_reference import EVERYTHING
from tests.laws.wild import SEEDS, SYMBOLS, inverse_settings, targets
from tests.markets import bar, tape, wild_market


@WALLETS
def test_a_profit_that_a_gap_takes_is_not_sold(margin_mode):
    """A short at 100 whose 100 coins of profit at 75 are gone at the open of 100: going to hedge 0
    sells the coins that are free, and borrows none.
    """
    market = tape(bar(100.0), bar(100.0, 75.0), bar(100.0), bar(100.0))
    opened, sold = play(
        coin_env(market, margin_mode=margin_mode, allow_short_spot=False), [SHORT, (1.0, 0.25, 4.0)]
    )
    assert opened["account"]["margin"][0] + opened["account"]["spot"][0] == pytest.approx(300.0)
    # 400 coins at the last mark, of which a quarter stays
    assert sold["trade"]["requested_spot"][0] == pytest.approx(-300.0)
    assert sold["trade"]["reason"][0] == "not enough funds"
    # a quarter of 30,000 / 100 is margin
    assert sold["trade"]["filled_spot"][0] == pytest.approx(-225.0)
    assert sold["account"]["spot"][0] == pytest.approx(0.0, abs=1e-9)
    assert sold["account"]["margin"][0] == pytest.approx(75.0)


@WALLETS
def test_coins_that_cannot_be_sold_cost_no_fee_where_others_are_to_be_paid_with_the_sale(
    margin_mode,
):
    """The gap again with half of the money: 151 coins are to be sold, 113.25 are there: 14,400 of
    cash and 96 % of 11,325 pay for 220.5 of the other coin.

    At 110 and a fee of 4 % these cost 25,225 of the 25,272; with the fee of the 37.75 that stay it
    would be 104 too little.
    """
    calm, symbols = [bar(100), bar(100)], ("PLAIN", "OTHER")
    market = tape(
        calm, calm, [bar(100, 75), bar(100)], *[[bar(100), bar(110)]] * 2, symbols=symbols
    )
    moves = [[SHORT, FLAT], [HOLD, HOLD], [(1.0, 0.25, 4.0), (1.0, 1.5, 1.0)]]
    opened, _, sold = play(
        coin_env(market, margin_mode=margin_mode, allow_short_spot=False, spot_fee=0.04), moves
    )
    assert opened["account"]["cash"] == pytest.approx(14_400.0)
    assert sold["trade"]["requested_spot"] == pytest.approx([-151.0, 220.5])
    assert sold["trade"]["filled_spot"] == pytest.approx([-113.25, 220.5])
    assert list(sold["trade"]["reason"]) == ["not enough funds", "none"]
    assert sold["account"]["cash"] == pytest.approx(14_400 + 0.96 * 11_325 - 1.04 * 110 * 220.5)


@WALLETS
def test_a_sale_of_all_free_coins_is_not_cut_by_rounding(margin_mode):
    """From hedge 1 to 0: all coins beyond the margin are sold; summed up another way they are often
    1e-14 fewer.
    """
    for price, leverage, later, rise in np.random.default_rng(0).uniform(
        [0.1, 1.0, 1.0, 0.9], [1e3, 9.0, 9.0, 1.1], (100, 4)
    ):
        market = tape(bar(price), bar(price), bar(price, price * rise), bar(price * rise))
        moves = [(1.0, 1.0, leverage), HOLD, (1.0, 0.0, later)]
        info = play(coin_env(market, margin_mode=margin_mode, allow_short_spot=False), moves)[-1]
        assert info["trade"]["filled_spot"][0] < 0
        assert info["trade"]["reason"][0] == "none"


@WALLETS
def test_a_sale_where_rounding_has_left_a_debt_buys_nothing(margin_mode):
    """A short at 100 with no coin beside its margin; the profit at 75 is to be sold, which is a
    loss at 110: nothing is there, and less by rounding.
    """
    env = coin_env(
        tape(bar(100), bar(100), bar(100, 75), *[bar(110)] * 2),
        margin_mode=margin_mode,
        allow_short_spot=False,
    )
    play(env, [(1.0, 0.25, 4.0), HOLD])
    env.batch.store.legs[0, 0, t.SPOT] = -1e-9
    info = env.step(action([(1.0, 0.25, 4.0)]))[-1]
    assert info["trade"]["requested_spot"][0] == pytest.approx(-56.25)
    assert info["trade"]["filled_spot"][0] == 0.0
    assert info["trade"]["reason"][0] == "not enough funds"


def test_no_sale_borrows_coins_that_nobody_lends():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=100, **EVERYTHING)
    @given(SEEDS, SYMBOLS, inverse_settings())
    def check(seed, symbols, chosen):
        chosen |= {
            "allow_short_spot": False,
            "decision_interval": "1h",
            "quote_borrow_rate": 0.0,
            "cash_rate": 0.0,
        }
        if chosen["margin_mode"] == "portfolio":
            return
        rng, market = np.random.default_rng(seed), wild_market(seed, symbols, 2)
        env = make_env(market, **chosen)
        for path in range(2):
            env.reset(options={"path": path, "start": 0})
            done = False
            while not done:
                _, _, terminated, truncated, info = env.step(action(targets(rng, len(symbols))))
                rounding = 1e-9 * max(chosen["initial_equity"], info["equity"])
                value = info["account"]["spot"] * market.bars[info["row"], :, layout.SPOT_OPEN]
                sold = (info["trade"]["filled_spot"] < 0) & (info["liquidated"] == 0)
                assert (value[sold] >= -rounding).all(), info
                seen["sold"] += int(sold.sum())
                seen["short"] += int(
                    (sold & (np.array(info["trade"]["reason"]) == "not enough funds")).sum()
                )
                done = terminated or truncated

    check()
    assert seen["sold"] > 500, seen
    assert seen["short"] > 20, seen
