"""The margin keeper: when it looks, what it takes, and how far it trades.

The account: 30,000 quote, leverage 2 at price 100; carry 1 is 200 units of each leg and a wallet of
10,000, carry 0.5 half of both.
"""

from __future__ import annotations

import pytest

from tests.laws.play import HOLD, make_env, play
from tests.markets import bar, tape

SHORT = (1.0, 1.0, 2.0)
MODES = pytest.mark.parametrize("margin_mode", ["isolated", "cross"])


# 100, 110, ... 195: the wallet of a short at leverage 2 does not survive 148.5
RALLY = [100.0 * 1.1**i for i in range(8)]


def rally() -> list[list[float]]:
    return (
        [bar(100), bar(100)]
        + [bar(a, b) for a, b in zip(RALLY, RALLY[1:], strict=False)]
        + [bar(RALLY[-1])]
    )


@MODES
@pytest.mark.parametrize("carry", [1.0, 0.5])  # without and with idle cash
def test_the_keeper_prevents_what_happens_without_it(carry, margin_mode):
    moves = [(carry, 1.0, 2.0)] + [HOLD] * 7
    off = play(make_env(tape(*rally()), margin_mode=margin_mode), moves)
    on = play(make_env(tape(*rally()), margin_mode=margin_mode, keeper_interval="1h"), moves)
    assert sum(info["liquidated"][0] for info in off) == 1
    assert sum(info["liquidated"][0] for info in on) == 0
    # hedged throughout: a rally costs nothing
    assert on[-1]["equity"] == pytest.approx(30_000, rel=1e-9)


@MODES
def test_the_keeper_takes_idle_cash_before_it_trades(margin_mode):
    # carry 0.5: 100 units, wallet 5,000, cash 15,000. At 121 the balance is 5,000 - 2,100 = 2,900
    # against 12,100 / 2 = 6,050 / 1.6 = 3,781
    infos = play(
        make_env(tape(*rally()), margin_mode=margin_mode, keeper_interval="1h"),
        [(0.5, 1.0, 2.0)] + [HOLD] * 3,
    )
    assert [info["account"]["perp"][0] for info in infos] == pytest.approx([-100] * 4)
    assert infos[2]["account"]["margin"][0] == pytest.approx(5_000)  # looked at 110 and left it
    assert infos[3]["account"]["margin"][0] == pytest.approx(6_050 + 2_100, rel=1e-9)
    assert infos[3]["account"]["cash"] == pytest.approx(15_000 - 3_150, rel=1e-9)


@MODES
def test_the_keeper_without_cash_shrinks_both_legs_alike(margin_mode):
    # carry 1: no cash. At 121: B = 10,000 - 4,200 = 5,800, M = 12,100, V = 24,200: f = 30,000 /
    # 36,300
    infos = play(
        make_env(tape(*rally()), margin_mode=margin_mode, keeper_interval="1h"),
        [SHORT] + [HOLD] * 3,
    )
    f = 30_000 / 36_300
    account = infos[3]["account"]
    assert account["perp"][0] == pytest.approx(-200 * f, rel=1e-9)
    assert account["spot"][0] == pytest.approx(200 * f, rel=1e-9)
    balance = account["margin"][0] + account["perp"][0] * (121 - account["entry"][0])
    assert balance == pytest.approx(200 * f * 121 / 2, rel=1e-9)  # leverage 2 again


@MODES
def test_the_keeper_grows_both_legs_when_leverage_has_fallen(margin_mode):
    # price 100 -> 60: B = 10,000 + 8,000 = 18,000, M = 200 x 60 / 2 = 6,000: B > 2.56 x 6,000. V =
    # 12,000: f = 30,000 / 18,000
    market = tape(bar(100), bar(100), bar(100, 60), bar(60), bar(60))
    infos = play(
        make_env(market, margin_mode=margin_mode, keeper_interval="1h"), [SHORT, HOLD, HOLD]
    )
    account = infos[2]["account"]
    assert account["perp"][0] == pytest.approx(-200 * 5 / 3, rel=1e-9)
    assert account["spot"][0] == pytest.approx(200 * 5 / 3, rel=1e-9)
    assert account["cash"] == pytest.approx(0.0, abs=1e-6)
    assert infos[2]["equity"] == pytest.approx(30_000, rel=1e-12)


def test_the_keeper_looks_only_when_its_interval_is_due():
    # every 4 h, counted from 1970: the bars that open at 00:00 and 04:00. The tape's row r opens at
    # r - 1 o'clock: rows 1 and 5.
    infos = play(make_env(tape(*rally()), keeper_interval="4h"), [SHORT] + [HOLD] * 4)
    perps = [info["account"]["perp"][0] for info in infos]
    assert perps[:4] == [perps[0]] * 4
    assert abs(perps[4]) < abs(perps[0])


def test_the_keeper_leaves_a_wallet_that_holds_its_margin_up_to_rounding():
    # both decisions set the wallet to N / L; after the second one balance and requirement differ in
    # the last digit
    market = tape(bar(83.6), bar(83.6, 103.2), *[bar(103.2)] * 3)
    env = make_env(market, keeper_interval="1h", keeper_down=1.0)
    info = play(env, [(0.5, 1.0, 3.0), (0.5, 1.0, 3.0), HOLD])[2]
    assert info["trade"]["filled_perp"][0] == info["trade"]["filled_spot"][0] == 0


@MODES
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_keeper_trades_beyond_a_billionth_on_either_side(side, margin_mode):
    # B = 10,000 - 200 d, M = 10,000 + 100 d for a move by d: |B - M| / M = 0.03 d; no cash to move,
    # none to spare
    for d, trades in ((1e-9, False), (2e-8, False), (1e-6, True)):
        price = 100 + side * d
        market = tape(bar(100), bar(100, price), bar(price), bar(price))
        env = make_env(
            market, margin_mode=margin_mode, keeper_interval="1h", keeper_up=1.0, keeper_down=1.0
        )
        _, info = play(env, [SHORT, HOLD])
        assert (info["trade"]["filled_perp"][0] != 0) == trades, d


@MODES
def test_the_keeper_cannot_help_against_a_gap(margin_mode):
    market = tape(bar(100), bar(100), bar(150), bar(150))
    assert list(
        play(make_env(market, margin_mode=margin_mode, keeper_interval="1h"), [SHORT, HOLD])[1][
            "liquidated"
        ]
    ) == [1]


def test_a_small_position_keeps_its_hedge():
    # spec 7.12; FINE: orders of the perp below 100 quote are dropped, those of the spot below 5.
    # 2.5 units each. At 65 the wallet has 212.5 against 81.25 / 0.39: f = 375 / 243.75 asks for
    # 87.5 quote of both
    fall = [bar(100), bar(100), bar(100, 65), *[bar(65)] * 4]
    env = make_env(tape(*fall, symbols=("FINE",)), keeper_interval="1h")
    infos = play(env, [(0.01251, 1.0, 2.0)] + [HOLD] * 5)
    opened, last = infos[0]["account"], infos[-1]["account"]
    assert opened["perp"][0] == pytest.approx(-2.502, abs=0.002)
    assert opened["spot"][0] == pytest.approx(2.502, abs=0.002)
    assert last["perp"][0] == opened["perp"][0]
    assert last["spot"][0] == opened["spot"][0]
