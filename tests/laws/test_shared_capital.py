"""One capital over several assets, and the keeper that watches the equity (spec 6.15, 6.16)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws.play import HOLD, make_env, play
from tests.markets import bar, tape

FULL = (1.0, 1.0, 3.0)  # carry, hedge ratio, leverage
EQUITY = 30_000.0  # of `make_env`


def two(*bars, **more):
    """Two assets of one price on one market."""
    return tape(*([each, each] for each in bars), symbols=("PLAIN", "PLAIN"), **more)


def notionals(info):
    return (np.abs(info["account"]["perp"]) * info["prices"]["mark"]).tolist()


def test_one_asset_may_take_the_whole_capital_and_a_part_of_it_with_parts():
    market = two(bar(100.0), bar(100.0))
    shared, parts = (
        play(make_env(market, capital=capital), [[FULL, (0.0, 1.0, 3.0)]])[-1]
        for capital in ("shared", "parts")
    )
    assert notionals(shared) == pytest.approx([0.75 * EQUITY, 0.0])
    assert notionals(parts) == pytest.approx([0.375 * EQUITY, 0.0])


def test_carries_that_ask_for_more_than_all_shrink_alike():
    """1 and -0.5 ask for 1.5 of the capital, so each is multiplied with 2/3."""
    info = play(
        make_env(two(bar(100.0), bar(100.0)), capital="shared"), [[FULL, (-0.5, 1.0, 3.0)]]
    )[-1]
    assert info["account"]["perp"] == pytest.approx([-150.0, 75.0])


def test_a_leg_that_holds_keeps_its_use_and_the_other_gets_the_rest():
    infos = play(
        make_env(two(bar(100.0), bar(100.0), bar(100.0)), capital="shared"),
        [[(0.75, 1.0, 3.0), (0.0, 1.0, 3.0)], [HOLD, FULL]],
    )
    assert notionals(infos[-1]) == pytest.approx([0.5625 * EQUITY, 0.1875 * EQUITY])


@pytest.mark.parametrize("capital", ["shared", "parts"])
def test_many_small_weights_open_with_the_default_band(capital):
    """32 coins of 1/64 of the capital each: 0.78 % of the equity, below the 2 % of one coin."""
    coins = [bar(100.0)] * 32
    weight = 1 / 64 if capital == "shared" else 0.5
    env = make_env(
        tape(*[coins] * 3, symbols=("PLAIN",) * 32), capital=capital, rebalance_band=0.02
    )
    info = play(env, [[(weight, 1.0, 1.0)] * 32])[-1]
    assert notionals(info) == pytest.approx([EQUITY / 128] * 32)


@pytest.mark.parametrize(
    ("first", "then", "traded"),
    [
        (0.04, 0.0443, False),  # up: a tenth of what is asked
        (0.04, 0.0446, True),
        (0.04, 0.0361, False),  # down: a tenth of what is held
        (0.04, 0.0359, True),
        (0.8, 0.88, False),
        (0.8, 0.89, True),
        (0.0, 0.0001, True),  # what is flat opens
    ],
)
def test_the_band_of_a_coin_is_in_proportion_to_its_share(first, then, traded):
    """Band 0.05, leverage 1: a change of a carry moves half of it in notional."""
    env = make_env(two(*[bar(100.0)] * 4), capital="shared", rebalance_band=0.05)
    still = (0.1, 1.0, 1.0)
    info = play(env, [[(first, 1.0, 1.0), still], [(then, 1.0, 1.0), still]])[-1]
    expected = then if traded else first
    assert notionals(info) == pytest.approx([0.5 * expected * EQUITY, 0.05 * EQUITY])
    assert info["trade"]["reason"] == ("none" if traded else "inside the band", "none")


@pytest.mark.parametrize("capital", ["shared", "parts"])
@pytest.mark.parametrize(("then", "traded"), [(0.535, False), (0.545, True), (0.06, True)])
def test_one_coin_has_the_band_of_the_whole_equity(capital, then, traded):
    env = make_env(tape(*[bar(100.0)] * 4), capital=capital, rebalance_band=0.02)
    info = play(env, [(0.5, 1.0, 1.0), (then, 1.0, 1.0)])[-1]
    assert notionals(info) == pytest.approx([0.5 * (then if traded else 0.5) * EQUITY])
    opened = play(env, [(0.03, 1.0, 1.0)])[-1]  # 1.5 % of the equity: not worth an order
    assert notionals(opened) == [0.0]


@settings(max_examples=40, deadline=None)
@given(
    carries=st.lists(st.floats(-1, 1), min_size=2, max_size=2),
    held=st.lists(st.booleans(), min_size=2, max_size=2),
    mode=st.sampled_from(["isolated", "cross", "portfolio"]),
)
def test_no_request_uses_more_than_the_capital(carries, held, mode):
    env = make_env(two(bar(100.0), bar(100.0), bar(100.0)), capital="shared", margin_mode=mode)
    first = [(0.4, 1.0, 3.0), (0.3, 1.0, 3.0)]
    move = [HOLD if h else (c, 1.0, 3.0) for c, h in zip(carries, held, strict=True)]
    info = play(env, [first, move])[-1]
    gross = 1.15 / 3 if mode == "portfolio" else 4 / 3  # collateral rate 0.95
    assert sum(notionals(info)) * gross <= EQUITY * (1 + 1e-6)


@pytest.mark.parametrize("mode", ["isolated", "portfolio"])
def test_the_keeper_of_the_equity_brings_a_coin_that_rose_back_to_its_target(mode):
    """Both legs move alike: the notional grows by 70 % and the equity stands still."""
    market = tape(bar(100.0), bar(100.0), bar(170.0), bar(170.0))
    kept, left = (
        play(
            make_env(
                market,
                margin_mode=mode,
                capital="shared",
                keeper_watches=watches,
                keeper_interval="1h",
                after_liquidation="naked",
            ),
            [(0.5, 1.0, 1.0), HOLD, HOLD],
        )[-1]
        for watches in ("equity", "wallet")
    )
    gross = 1.05 if mode == "portfolio" else 2.0
    assert notionals(kept)[0] * gross == pytest.approx(0.5 * EQUITY)
    if mode == "portfolio":  # there no wallet is watched, so nothing brings it back
        assert notionals(left)[0] * gross == pytest.approx(0.85 * EQUITY)


def test_the_keeper_of_the_equity_waits_inside_its_band():
    market = tape(bar(100.0), bar(100.0), bar(150.0), bar(150.0))
    env = make_env(market, margin_mode="portfolio", keeper_watches="equity", keeper_interval="1h")
    info = play(env, [(0.5, 1.0, 1.0), HOLD, HOLD])[-1]
    assert notionals(info)[0] * 1.05 == pytest.approx(0.75 * EQUITY)  # 1.5 of 0.5, below 1.6


@pytest.mark.parametrize(("after", "spot_left"), [("flatten", False), ("naked", True)])
def test_the_keeper_of_the_equity_does_not_reopen_what_the_venue_has_liquidated(after, spot_left):
    """Leverage 3 is gone at 180; leverage 1 stands, and the keeper brings that one back."""
    market = two(bar(100.0), bar(100.0), bar(180.0), bar(180.0), bar(180.0))
    env = make_env(
        market,
        capital="shared",
        keeper_watches="equity",
        keeper_interval="1h",
        after_liquidation=after,
    )
    enter, hold = [(0.1, 1.0, 3.0), (0.5, 1.0, 1.0)], [HOLD, HOLD]
    info = play(env, [enter, hold, hold, hold])[-1]
    assert info["account"]["perp"][0] == 0.0
    assert (info["account"]["spot"][0] > 0.0) == spot_left
    assert notionals(info)[1] * 2.0 == pytest.approx(0.5 * info["equity"], rel=1e-6)
