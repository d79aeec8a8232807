"""Funding: who pays whom, when, out of which wallet.

The account of most tapes: 30,000 quote, carry 1, leverage 2 at price 100. Notional = 30,000 x 2 / 3
= 20,000, so 200 units; the wallet of the perpetual holds 20,000 / 2 = 10,000, the spot leg of a
hedged short takes the other 20,000, and no cash is left.
"""

from __future__ import annotations

import pandas as pd
import pytest

from fundenv.formulas import funding
from tests.laws.play import FLAT, HOLD, equity_of, make_env, play
from tests.markets import bar, tape

SHORT = (1.0, 1.0, 2.0)  # short perp, long spot
LONG = (-1.0, 1.0, 2.0)
LONG_UNHEDGED = (-1.0, 0.0, 2.0)


def settled(rate: float, price: float = 100.0) -> dict[str, float]:
    return {"settle_rate": rate, "settle_price": price}


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
@pytest.mark.parametrize(
    ("move", "rate", "money"),
    [
        (SHORT, 0.001, 20.0),  # -(-200) x 100 x 0.001
        (SHORT, -0.001, -20.0),
        (LONG, 0.001, -20.0),
        (LONG, -0.001, 20.0),
        (LONG_UNHEDGED, 0.001, -20.0),
    ],
)
def test_longs_pay_shorts_when_the_rate_is_positive(move, rate, money, margin_mode):
    market = tape(bar(100), bar(100), bar(100, **settled(rate)), bar(100))
    opened, paid = play(make_env(market, margin_mode=margin_mode), [move, HOLD])
    assert opened["parts"]["funding"] == 0.0
    assert paid["parts"]["funding"] == pytest.approx(money, rel=1e-12)
    assert paid["equity"] == pytest.approx(30_000 + money, rel=1e-12)
    assert paid["reward"] == pytest.approx(1e3 * money / 30_000, rel=1e-3)  # log(1 + y) ~ y


def test_payment_is_on_the_settlement_price_and_not_on_the_open():
    market = tape(bar(100), bar(100), bar(100, **settled(0.001, price=104.0)), bar(100))
    assert play(make_env(market), [SHORT, HOLD])[1]["parts"]["funding"] == pytest.approx(
        200 * 104 * 0.001, rel=1e-12
    )


def test_an_order_at_the_instant_of_settlement_collects_nothing():
    market = tape(bar(100), bar(100, **settled(0.02)), bar(100), bar(100))
    opened, after = play(make_env(market), [SHORT, HOLD])
    assert opened["account"]["perp"][0] == pytest.approx(-200)
    assert opened["parts"]["funding"] == after["parts"]["funding"] == 0.0
    assert after["equity"] == pytest.approx(30_000, rel=1e-12)


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
def test_a_fill_of_the_env_stands_behind_the_venues_seconds_of_grace(margin_mode):
    """The published rule counts a position opened less than 15 s after a settlement, and one closed
    at it: opened at the first of three settlements and closed at the third, two are paid.
    """
    times = pd.date_range("2024-01-01", periods=3, freq="8h")
    prices, rates = [100.0, 101.0, 99.0], [0.02, 0.001, -0.003]
    bars = [bar(100)] + [
        bar(100, **settled(rate, price)) for rate, price in zip(rates, prices, strict=True)
    ]
    market = tape(*bars, bar(100), bar(100))
    env = make_env(market, margin_mode=margin_mode)
    steps = play(env, [SHORT, HOLD, FLAT, HOLD])
    held = steps[0]["account"]["perp"][0]
    assert held < -199
    paid = funding.window_payment(
        held, times[0] + pd.Timedelta("15s"), times[2], times, prices, rates, grace_seconds=15.0
    )
    assert sum(step["parts"]["funding"] for step in steps) == pytest.approx(paid, rel=1e-12)
    inside = funding.window_payment(held, times[0], times[2], times, prices, rates)
    assert inside - paid == pytest.approx(-held * 100.0 * 0.02)  # what a fill in the grace collects


@pytest.mark.parametrize("leave", [FLAT, LONG, (0.25, 1.0, 2.0)])
def test_the_position_before_the_trade_receives_even_if_it_is_left_at_that_instant(leave):
    market = tape(bar(100), bar(100), bar(100, **settled(0.001)), bar(100))
    info = play(make_env(market), [SHORT, leave])[1]
    # 200 units, whatever is traded after
    assert info["parts"]["funding"] == pytest.approx(20.0, rel=1e-12)


@pytest.mark.parametrize("every", [1, 2, 4, 8])
@pytest.mark.parametrize("decision", [1, 8])
def test_funding_adds_up_over_many_settlements(every, decision):
    # 48 hourly bars after the opening one; price stands still, so every settlement pays 20 in cash,
    # which buys no more position under hold
    rows = [bar(100) for _ in range(1 + decision)] + [
        bar(100, **settled(0.001 if i % every == 0 else 0.0)) for i in range(48)
    ]
    env = make_env(tape(*rows), decision_interval=f"{decision}h")
    infos = play(env, [SHORT] + [HOLD] * (48 // decision))
    settlements = 48 // every
    assert len(infos) == 1 + 48 // decision
    assert sum(info["parts"]["funding"] for info in infos) == pytest.approx(
        20.0 * settlements, rel=1e-12
    )
    assert infos[-1]["equity"] == pytest.approx(30_000 + 20.0 * settlements, rel=1e-12)


@pytest.mark.parametrize("hours", [1.0, 2.0, 4.0, 8.0])
def test_one_payment_a_settlement_whatever_the_length_of_a_bar(hours):
    # the rate is per settlement and not per hour: five bars that each open on a settlement pay 5 x
    # 20
    rows = [bar(100), bar(100)] + [bar(100, **settled(0.001))] * 5
    infos = play(
        make_env(tape(*rows, bar_hours=hours), decision_interval=f"{hours:g}h"),
        [SHORT] + [HOLD] * 5,
    )
    assert sum(info["parts"]["funding"] for info in infos) == pytest.approx(100.0, rel=1e-12)


def test_zero_price_means_no_settlement():
    market = tape(bar(100), bar(100), bar(100, settle_rate=0.01, settle_price=0.0), bar(100))
    assert play(make_env(market), [SHORT, HOLD])[1]["parts"]["funding"] == 0.0


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_opposite_positions_receive_opposite_money(margin_mode):
    rates = [0.0007, -0.0123, 0.02, -0.02, 0.0]
    market = tape(
        bar(100),
        bar(100),
        *[bar(100 + i, 101 + i, **settled(r, 100.5 + i)) for i, r in enumerate(rates)],
        bar(105),
    )
    # leverage 1 leaves enough free cash for both, so that wallets do not differ
    short = play(make_env(market, margin_mode=margin_mode), [(0.5, 0.0, 1.0)] + [HOLD] * 5)
    long = play(make_env(market, margin_mode=margin_mode), [(-0.5, 0.0, 1.0)] + [HOLD] * 5)
    for s, g in zip(short, long, strict=True):
        assert s["parts"]["funding"] == pytest.approx(-g["parts"]["funding"], rel=1e-12)
        assert s["account"]["perp"][0] == -g["account"]["perp"][0]


def test_a_receipt_goes_to_cash_in_isolated_mode_and_to_the_wallet_in_cross_mode():
    market = tape(bar(100), bar(100), bar(100, **settled(0.001)), bar(100))
    isolated, cross = (
        play(make_env(market, margin_mode=mode), [SHORT, HOLD])[1]["account"]
        for mode in ("isolated", "cross")
    )
    assert (isolated["cash"], isolated["margin"][0]) == (
        pytest.approx(20.0, rel=1e-9),
        pytest.approx(10_000.0, rel=1e-12),
    )
    assert (cross["cash"], cross["margin"][0]) == (
        pytest.approx(0.0, abs=1e-9),
        pytest.approx(10_020.0, rel=1e-12),
    )


def test_an_isolated_payment_takes_free_cash_first_and_margin_for_the_rest():
    # carry 0.99: notional 19,800, 198 units, wallet 9,900, spot 19,800, cash 300. Rate -2 %: the
    # short pays 396 = 300 + 96.
    market = tape(bar(100), bar(100), bar(100, **settled(-0.02)), bar(100))
    opened, paid = play(make_env(market), [(0.99, 1.0, 2.0), HOLD])
    assert opened["account"]["cash"] == pytest.approx(300.0, rel=1e-4)  # 0.99 is not a float32
    account = paid["account"]
    assert paid["parts"]["funding"] == pytest.approx(-396.0, rel=1e-6)
    assert account["cash"] == pytest.approx(0.0, abs=1e-9)
    assert account["margin"][0] == pytest.approx(9_900 - 96, rel=1e-6)


def test_proceeds_of_borrowed_base_do_not_pay_funding():
    # carry -1, hedge 1.5, leverage 2: long 200, short 300 spot. Cash 30,000 + 30,000 - 10,000 =
    # 50,000 of which 30,000 are locked: 20,000 free. Base rises to 165: locked 49,500, free 500. A
    # long pays 0.02 x 200 x 165 = 660: 500 from cash, 160 from margin.
    market = tape(bar(100), bar(100, 165), bar(165, **settled(0.02, 165.0)), bar(165))
    opened, paid = play(make_env(market), [(-1.0, 1.5, 2.0), HOLD])
    assert opened["account"]["cash"] == pytest.approx(50_000, rel=1e-12)
    assert paid["account"]["cash"] == pytest.approx(49_500, rel=1e-12)
    assert paid["account"]["margin"][0] == pytest.approx(10_000 - 160, rel=1e-12)


@pytest.mark.parametrize(("rate", "liquidated"), [(0.0, 0), (-0.01, 1), (0.01, 0)])
def test_a_payment_from_margin_moves_the_liquidation_price(rate, liquidated):
    # short 200 at 100 with margin m: liquidation at (m + 20,000) / (200 x 1.01). m = 10,000:
    # 148.51. Rate -1 % pays 200 from margin (no cash): m = 9,800, 147.52. A high of 148 lies
    # between; a receipt goes to cash.
    market = tape(bar(100), bar(100), bar(100, high=148.0, **settled(rate)), bar(100))
    assert play(make_env(market), [SHORT, HOLD])[1]["liquidated"][0] == liquidated


def test_each_asset_pays_its_own_rate():
    # two assets share the equity: 100 units each
    rows = [
        [bar(100), bar(100)],
        [bar(100), bar(100)],
        [bar(100, **settled(0.001)), bar(100, **settled(-0.002))],
        [bar(100), bar(100)],
    ]
    info = play(make_env(tape(*rows, symbols=("PLAIN", "OTHER"))), [[SHORT, SHORT], [HOLD, HOLD]])[
        1
    ]
    assert info["parts"]["funding"] == pytest.approx(10 - 20, rel=1e-12)
    # the receipt of the first asset pays for the second
    assert info["account"]["cash"] == pytest.approx(0.0, abs=1e-9)
    assert info["account"]["margin"] == pytest.approx([5_000, 4_990], rel=1e-12)
    assert equity_of(info) == pytest.approx(29_990, rel=1e-12)
