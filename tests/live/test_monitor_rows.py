"""What the monitor works out: rates for 8 h, z-scores, carries by hand, and when it calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.monitoring.alerts import Alarms, AlertLimits, account_conditions, market_conditions
from experiments.monitoring.history import History
from experiments.monitoring.rows import Carry, Carrying, Key, Row, carries, compared, row_of
from fundenv.live import Quote
from fundenv.market import build_market
from tests.live.world import HOUR, START, coin

HERE, THERE = Key("binance", "BTCUSDT"), Key("bybit", "BTCUSDT")
BEGIN = START - START % (8 * HOUR)


def history(rates: list[float], hours: float = 8.0) -> History:
    """Rates in bp, the last one settled at BEGIN."""
    made = History()
    n = len(rates)
    made.add((BEGIN - round((n - 1 - k) * hours * HOUR), r / 1e4) for k, r in enumerate(rates))
    return made


def quote(key: Key = HERE, rate_bp: float = 3.0, **more: object) -> Quote:
    told = {"rate": rate_bp / 1e4, "next": BEGIN + 8 * HOUR, "bid": 99.99, "ask": 100.01}
    told |= {"spot_bid": 99.98, "spot_ask": 100.02, "mark": 100.0, "index_price": 99.0}
    return Quote(0, *key, "BTC", **(told | more))  # type: ignore[arg-type]


def row(key: Key = HERE, rate_bp: float = 3.0, age: float = 1.0, **more: object) -> Row:
    made = quote(key, rate_bp, **more)
    return row_of(key, made, history([1.0, 2.0]), now=BEGIN + HOUR, age=age, patience=60.0)


def test_the_z_score_is_the_observation_of_the_env() -> None:
    frames = coin("ETHUSDT")
    market = build_market([frames])
    column = [feature.name for feature in market.table].index("funding_z")
    times = frames.funding["time"].astype("int64").to_numpy() // 1_000_000
    rates = frames.funding["rate"].to_numpy()
    for n in (120, 200, 330):
        made = History()
        made.add(zip(times[:n].tolist(), rates[:n].tolist(), strict=True))
        at = int(np.searchsorted(market.close_ns // 1_000_000, times[n - 1], side="right"))
        seen = float(market.features[at, 0, column]) * market.table[column].scale
        assert made.z() == pytest.approx(seen, abs=1e-5)
    assert history([1.0] * 90).z() == 0.0
    assert history([1.0] * 89).z() is None


@given(st.floats(-30, 30), st.sampled_from([1.0, 2.0, 4.0, 8.0]))
def test_a_rate_counts_for_the_hours_that_it_is_for(bp: float, hours: float) -> None:
    made = history([bp] * 40, hours)
    assert made.per_8h()[1] == pytest.approx(bp * 8 / hours)
    assert made.week() == pytest.approx(bp * 8 / hours)
    own = quote(rate_bp=bp, next=BEGIN + round(hours * HOUR))
    found = row_of(HERE, own, made, now=BEGIN, age=0.0, patience=60.0)
    assert found.predicted == pytest.approx(bp * 8 / hours)
    assert found.annual == pytest.approx(bp / 1e4 * 24 / hours * 365 * 100)
    assert found.seconds == hours * 3600


def test_the_week_weighs_rates_by_their_hours() -> None:
    """An interval that becomes shorter: 8 h at 1 bp each, then two of 4 h at 1 bp: 2 bp per 8 h."""
    made = history([1.0, 1.0, 1.0])
    made.add([(BEGIN + 4 * HOUR, 1e-4), (BEGIN + 8 * HOUR, 1e-4)])
    assert made.week() == pytest.approx((3 * 8 * 1 + 2 * 4 * 2) / (3 * 8 + 2 * 4))
    assert made.changed(BEGIN + 12 * HOUR) is None
    assert history([1.0, 1.0]).changed(BEGIN + 4 * HOUR) == (8.0, 4.0)


def test_a_settlement_that_is_not_told_yet_is_no_longer_interval() -> None:
    """Every 4 h; the venue announces the settlement after next, and has not told the last rate."""
    made, own = history([1.0] * 9, 4.0), quote(rate_bp=1.0, next=BEGIN + 8 * HOUR)
    known = row_of(HERE, own, made, now=BEGIN + 4 * HOUR, age=0.0, patience=60.0)
    assert known.changed == (4.0, 8.0)
    since = BEGIN + 4 * HOUR
    found = row_of(HERE, own, made, now=since, age=0.0, patience=60.0, since=since)
    assert (found.changed, found.interval, found.predicted) == (None, 4.0, pytest.approx(2.0))


def test_the_basis_is_that_of_the_books_or_of_the_mark_price() -> None:
    assert row(bid=101.0, ask=101.0, spot_bid=100.0, spot_ask=100.0).basis == pytest.approx(100.0)
    alone = row(spot_bid=None, spot_ask=None)
    assert alone.basis == pytest.approx(1e4 * (100.0 / 99.0 - 1.0))
    assert row(spot_bid=None, spot_ask=None, mark=None).basis is None


def test_a_carry_against_spot_by_hand() -> None:
    """Leverage 3: 0.75 of the capital is notional. 3 bp x 1095 = 32.85 % a year on it, 24.6375 % of
    the capital. A round trip is 2 x (5 + 10 + 1 + 2) = 36 bp, each 7 days: 0.75 x 0.36 % x 365 / 7
    = 14.0786 %. Cash 4.5 %.
    """
    how = Carrying(leverage=3.0, cash_rate=0.045, hold=7.0)
    (found,) = carries([row()], {HERE: ("binance", "BTCUSDT")}, how)
    assert (found.long, found.short) == ("binance spot", "binance perpetual")
    assert found.gross == pytest.approx(24.6375)
    assert found.costs == pytest.approx(14.0786, abs=1e-4)
    assert found.net == pytest.approx(24.6375 - 14.0786 - 4.5, abs=1e-4)
    assert found.week == pytest.approx(0.75 * 1.5 * 10.95 - 14.0786 - 4.5, abs=1e-4)


def test_a_reverse_carry_by_hand() -> None:
    """As above with -3 bp: the coin loan of 8.76 % is paid on 0.75 of the capital, and cash is
    forgone on the perpetual's wallet alone, a quarter of it.
    """
    (found,) = carries([row(rate_bp=-3.0)], {HERE: ("binance", "BTCUSDT")}, Carrying())
    assert (found.long, found.short) == ("binance perpetual", "binance spot")
    assert found.costs == pytest.approx(14.0786 + 0.75 * 8.76, abs=1e-4)
    assert found.net == pytest.approx(24.6375 - 14.0786 - 6.57 - 1.125, abs=1e-4)


def test_a_carry_between_venues_by_hand() -> None:
    """Leverage 3 in two wallets: 1.5 of the capital on each side. 3 - 1 bp x 1095 x 1.5 = 32.85 %;
    2 x (5 + 1 + 5.5 + 1) = 25 bp x 1.5 x 365 / 7 = 19.5536 %.
    """
    rows = [row(), row(THERE, 1.0)]
    (found,) = carries(rows, dict.fromkeys((HERE, THERE)), Carrying())
    assert (found.long, found.short) == ("bybit perpetual", "binance perpetual")
    assert found.gross == pytest.approx(32.85)
    assert found.net == pytest.approx(32.85 - 19.5536 - 4.5, abs=1e-3)
    assert found.week == pytest.approx(-19.5536 - 4.5, abs=1e-3)  # both paid alike


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=2), st.floats(1, 50), st.floats(0, 0.2))
def test_carries_are_ranked_and_add_up(rates: list[float], leverage: float, cash: float) -> None:
    rows = [row(HERE, rates[0]), row(THERE, rates[1])]
    spots = {HERE: ("binance", "BTCUSDT"), THERE: ("bybit", "BTCUSDT")}
    found: list[Carry] = carries(rows, spots, Carrying(leverage=leverage, cash_rate=cash))
    assert len(found) == 2 + (rates[0] != rates[1])
    assert [each.net for each in found] == sorted((each.net for each in found), reverse=True)
    for each in found:
        assert each.gross >= 0
        assert each.net == pytest.approx(each.gross - each.costs - each.cash)


def test_what_is_stale_is_compared_with_nothing() -> None:
    old = row(THERE, -9.0, age=61.0)
    assert old.stale
    found = compared([row(), old])
    assert (found[0].above, found[1].above) == (0.0, None)
    assert len(carries(found, {HERE: None, THERE: ("bybit", "BTCUSDT")}, Carrying())) == 0
    late = quote(next=BEGIN - HOUR)  # a venue that answers with a settlement long gone
    assert row_of(HERE, late, history([1, 2]), now=BEGIN, age=0.0, patience=60.0).stale


@pytest.mark.parametrize(
    ("kind", "there", "rates"),
    [
        ("rate", quote(rate_bp=-10.0), [0.1, 0.1]),
        ("flip", quote(rate_bp=-1.0), [1.0, 1.0]),
        ("cap", quote(rate_bp=29.8), [1.0, 1.0]),  # of 30 bp
        ("interval", quote(next=BEGIN + 4 * HOUR, rate_bp=0.1), [0.1, 0.1]),
        ("z", quote(rate_bp=0.1), [0.0, 0.1] * 45 + [9.0]),
    ],
)
def test_each_alert_begins_once_and_ends(kind: str, there: Quote, rates: list[float]) -> None:
    limits, alarms, calls = AlertLimits(), Alarms(), []
    calm = (quote(rate_bp=0.1), [0.1] * 100)
    for step, (told, settled) in enumerate([calm, (there, rates), (there, rates), calm]):
        made = history(settled)
        own = row_of(HERE, told, made, now=BEGIN, age=0.0, patience=60.0)
        begun, ended = alarms.update(market_conditions([own], limits), step)
        calls.append(([a.kind for a in begun], [a.kind for a in ended]))
        if step == 2:
            assert alarms.standing[kind, "binance BTCUSDT"].since == 1
    assert kind in calls[1][0]
    assert calls[2] == ([], [])
    assert kind in calls[3][1]
    off = market_conditions([own], AlertLimits(rate=0, flip=0, cap=0, z=0))
    assert off == {}


def test_accounts_near_liquidation_or_behind_are_called() -> None:
    own = {"venue": "binance", "symbols": ["BTCUSDT"], "held": True, "margin_distance": 2.9}
    own |= {"behind": 0.0, "waiting": "", "alarm": ""}
    limits = AlertLimits()
    assert list(account_conditions([own], limits)) == [("margin", "paper binance BTCUSDT")]
    assert account_conditions([own | {"margin_distance": 3.1}], limits) == {}
    assert account_conditions([own | {"held": False}], limits) == {}
    late = own | {"margin_distance": 9.0, "behind": 5.0, "alarm": "fills cost more"}
    assert {kind for kind, _ in account_conditions([late], limits)} == {"stale", "drift"}


def test_alerts_with_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        AlertLimits(margin=-1.0)
