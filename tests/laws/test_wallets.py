"""Interest on balances, and the transfers between cash and the wallets of the perpetuals.

The account: 30,000 quote; carry 0.5 at leverage 2 and price 100 is 100 units of each leg, a wallet
of 5,000 and 15,000 idle.
"""

from __future__ import annotations

import pytest

from tests.laws.play import FLAT, HOLD, make_env, play
from tests.markets import bar, tape

HALF = (0.5, 1.0, 2.0)
FULL = (1.0, 1.0, 2.0)
REVERSE = (-0.5, 1.0, 2.0)


def test_interest_is_charged_and_earned_by_the_hour():
    # reverse carry: cash 35,000, locked 10,000, free 25,000. cash_rate 0.0876 = 1e-5 an hour; base
    # borrow 0.1752 = 2e-5 an hour on 10,000
    info = play(
        make_env(tape(*[bar(100)] * 5), cash_rate=0.0876, base_borrow_rate=0.1752), [REVERSE]
    )[0]
    assert info["parts"]["cash_interest"] == pytest.approx(0.25, rel=1e-9)
    assert info["parts"]["borrow_interest"] == pytest.approx(-0.20, rel=1e-9)
    idle = play(make_env(tape(*[bar(100)] * 5), cash_rate=0.0876), [FLAT])[0]
    assert idle["parts"]["cash_interest"] == pytest.approx(0.30, rel=1e-9)
    # idle cash earns exactly what the reward subtracts, up to 1e-10
    assert idle["reward"] == pytest.approx(0.0, abs=1e-6)


def test_a_negative_purse_pays_the_quote_rate():
    # asset 0: 75 units short, unhedged, wallet 7,500; asset 1: 100 short, 150 of spot, wallet
    # 5,000; cash 30,000 - 27,500 = 2,500. Asset 0 is closed at 300 while the mark stays at 100 (no
    # liquidation): its wallet is 7,500 - 15,000, and emptied into cash: -5,000. 0.0876 a year =
    # 1e-5 an hour
    rows = [[bar(100), bar(100)]] * 2 + [[bar(100, perp_open=300.0), bar(100)]] * 2
    env = make_env(tape(*rows, symbols=("PLAIN", "OTHER")), quote_borrow_rate=0.0876, cash_rate=0.5)
    info = play(env, [[(1.0, 0.0, 1.0), (1.0, 1.5, 2.0)], [FLAT, HOLD]])[1]
    # interest of the first bar was earned on 2,500
    assert info["account"]["cash"] == pytest.approx(-5_000.05 + 2_500 * 0.5 / 8760, rel=1e-9)
    assert info["parts"]["borrow_interest"] == pytest.approx(-0.05, rel=1e-4)
    assert info["parts"]["cash_interest"] == 0.0


def test_leverage_alone_moves_money_between_the_wallets():
    opened, moved = play(make_env(tape(*[bar(100)] * 5)), [HALF, (0.5, 1.0, 2.0)])
    assert moved["account"]["margin"][0] == opened["account"]["margin"][0]
    # leverage 2 -> 1: notional 0.75 x 30,000 x 1/2 = 11,250 ... carry 0.66666 keeps the size; here
    # the size may change, the wallet is N / L
    changed = play(make_env(tape(*[bar(100)] * 5)), [HALF, (0.5, 1.0, 1.0)])[1]["account"]
    assert changed["margin"][0] == pytest.approx(-changed["perp"][0] * 100, rel=1e-12)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_wallet_that_releases_pays_for_one_that_needs(swapped):
    # both 100 short with wallets of 5,000, no cash; sizes stay (band 3,000: 0.2 of half the
    # equity). Leverage 2 -> 1 needs 5,000 more, 2 -> 4 releases 2,500
    def order(a, b):
        return [b, a] if swapped else [a, b]

    row = [bar(100), bar(100)]
    env = make_env(tape(row, row, row, row, symbols=("PLAIN", "OTHER")), rebalance_band=0.2)
    info = play(env, [[FULL, FULL], order((1.0, 1.0, 1.0), (1.0, 1.0, 4.0))])[1]
    assert info["trade"]["reason"] == ("inside the band",) * 2
    assert order(*info["account"]["margin"]) == pytest.approx([7_500, 2_500], rel=1e-12)
    assert info["account"]["cash"] == pytest.approx(0.0, abs=1e-9)


def test_an_overdrawn_wallet_is_emptied_before_another_is_topped_up():
    # A: 100 short, 150 of spot, wallet 5,000, wants leverage 1: 5,000 more. B: 75 short unhedged,
    # wallet 7,500, leaves at 300: -7,500. Cash 2,500. Mirrored assets must get mirrored wallets:
    # the debt first, so that none is left for A
    def order(a, b):
        return [b, a] if swapped else [a, b]

    for swapped in (False, True):
        rows = [[bar(100), bar(100)]] * 2 + [order(bar(100), bar(100, perp_open=300.0))] * 2
        env = make_env(tape(*rows, symbols=("PLAIN", "OTHER")), rebalance_band=0.4)
        info = play(env, [order((1.0, 1.5, 2.0), (1.0, 0.0, 1.0)), order((1.0, 1.5, 1.0), FLAT)])[1]
        assert order(*info["account"]["margin"]) == pytest.approx([5_000, 0], rel=1e-12), swapped
        assert info["account"]["cash"] == pytest.approx(-5_000, rel=1e-12)
