"""What is off by default: dearer orders behind a crash, auto-deleveraging, called loans; and which
fees and settlement price a venue file stands for.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fundenv.dynamics import types as t
from tests.laws.play import HOLD, action, make_env, play
from tests.laws.venue_books import check_books_of, venues_of
from tests.markets import bar, tape

LAWS = Path(__file__).parent
SHORT = (1.0, 1.0, 3.0)


@pytest.mark.parametrize(("crash_sigma", "factor"), [(0.0, 1.0), (1.0, 54.0), (3.0, 1.0)])
def test_orders_behind_a_crash_are_stressed(crash_sigma, factor):
    """Mark ranges over 10 % = 2.5 daily volatilities of 4 %; COSTLY's spread is 10 + 20 bp on two
    legs of 22,500.
    """
    rows = [
        bar(100.0),
        bar(100.0, low=95.0, high=104.5),
        bar(100.0, perp_day_volume=0, spot_day_volume=0),
    ]
    env = make_env(tape(*rows, symbols=("COSTLY",)), crash_sigma=crash_sigma, max_leverage=10.0)
    parts = play(env, [HOLD, (0.5, 1.0, 3.0)])[-1]["parts"]
    assert parts["spread"] == pytest.approx(-0.003 * 11_250 * factor, rel=0.02)


def test_a_winning_short_is_deleveraged_where_the_crash_runs_far():
    """Down 8 % = 2 daily volatilities of 4 %: half of the short is closed there, the other half
    keeps on winning; the spot leg follows at the open.
    """
    rows = [bar(100.0), bar(100.0), bar(100.0, 85.0), bar(85.0)]
    env = make_env(tape(*rows), adl_sigma=2.0, adl_share=0.5)
    opened, hit, after = play(env, [SHORT, HOLD, HOLD])
    size = float(opened["account"]["perp"][0])
    assert hit["liquidated"][0] == 1
    assert hit["account"]["perp"][0] == pytest.approx(size / 2)
    assert hit["parts"]["perp_pnl"] == pytest.approx(-size / 2 * (8.0 + 15.0))
    assert hit["parts"]["liquidation_loss"] == 0.0
    assert after["account"]["spot"][0] == pytest.approx(-size / 2)


def test_a_losing_position_is_not_deleveraged():
    rows = [bar(100.0), bar(100.0), bar(100.0, low=85.0)]
    assert (
        play(make_env(tape(*rows), adl_sigma=2.0), [(-1.0, 0.0, 2.0), HOLD])[-1]["liquidated"][0]
        == 0
    )


@pytest.mark.parametrize(("level", "called"), [(0.0, False), (1.1, False), (1.5, True)])
def test_a_loan_is_called_at_its_margin_level(level, called):
    """Reverse carry at 3x: 22,500 borrowed coins beside 45,000 of cash, level 2; at 150 they are
    33,750 and the level is 1.33.
    """
    rows = [bar(100.0), bar(100.0), bar(100.0, 150.0), bar(150.0)]
    opened, _, after = play(
        make_env(tape(*rows), margin_level=level, max_leverage=10.0), [(-1.0, 1.0, 3.0), HOLD, HOLD]
    )
    assert opened["account"]["cash"] == pytest.approx(45_000.0)
    assert bool(after["account"]["spot"][0] == 0.0) is called
    assert bool(after["account"]["perp"][0] == 0.0) is called
    assert (after["trade"]["reason"][0] == "loan called") is called


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_the_dust_of_rounding_is_no_loan(margin_mode):
    env = make_env(tape(*[bar(100)] * 5), margin_mode=margin_mode, margin_level=1.5)
    play(env, [(0.5, 0.0, 2.0)])
    store = env.batch.store
    store.legs[0, 0, t.SPOT], store.account[0, t.CASH] = -1e-15, 0.0
    info = env.step(action([HOLD]))[-1]
    assert info["trade"]["reason"][0] == "hold"
    assert info["account"]["perp"][0] == -100
    store.legs[0, 0, t.SPOT] = -1.0
    assert env.step(action([HOLD]))[-1]["trade"]["reason"][0] == "loan called"


def test_the_high_tier_pays_its_own_fees():
    paid = {}
    for tier in ("base", "high"):
        paid[tier] = play(
            make_env(tape(*[bar(100.0)] * 2), fee_tier=tier, perp_fee=None, spot_fee=None),
            [(0.5, 1.0, 3.0)],
        )[-1]["parts"]["fees"]
    assert paid["base"] == pytest.approx(-11_250 * (0.0005 + 0.001))
    assert paid["high"] == pytest.approx(-11_250 * (0.0003 + 0.0006))


def test_an_oracle_venue_pays_on_spot_and_another_on_mark():
    rows = [
        bar(100.0),
        bar(100.0, spot_close=98.0),
        bar(100.0, settle_price=101.0, settle_rate=0.01, spot_open=98.0),
    ]
    for venue, price in (("plain", 101.0), ("tiered", 98.0)):
        opened, settled = play(
            make_env(tape(*rows), venue=str(LAWS / f"{venue}.toml")), [SHORT, HOLD]
        )
        assert settled["parts"]["funding"] == pytest.approx(
            -opened["account"]["perp"][0] * price * 0.01
        )


@pytest.mark.parametrize("name", venues_of("linear"))
@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
def test_every_linear_venue_of_the_package_keeps_its_books(name, margin_mode):
    check_books_of(
        name,
        margin_mode,
        "BTCUSDT",
        make_env,
        venue_date="2025-06-01",
        crash_sigma=0.5,
        adl_sigma=0.5,
        margin_level=1.1,
        base_supply=20_000.0,
        quote_supply=20_000.0,
        liquidation_gap=0.5,
        deficit_share=0.5,
    )
