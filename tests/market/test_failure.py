"""A venue that fails: what the market says of it, and what the account loses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fundenv.config import ConfigError
from fundenv.envs.single import FundingHedgeEnv
from fundenv.market import Failure, Market, SplitError, fail_venue, layout, splice, stack
from tests.laws.play import HOLD, make_env, play
from tests.laws.wild import OWN_VENUES
from tests.markets import bar, tape

AT = "2024-01-01 02:00"  # row 3 of a tape opens there
DAY = Failure(3.0, True, "made up")
AWAY, HOME = "tiered:PLAIN@plain:PLAIN", "tiered:FINE"
SHORT = (1.0, 1.0, 1.0)


def flat(*assets: str, price: float = 100.0, rows: int = 12) -> Market:
    return tape(*[[bar(price) for _ in assets]] * rows, symbols=assets)


def env_of(market: Market, **settings: Any) -> FundingHedgeEnv:
    given = {"venues": OWN_VENUES, "failure_loss": 0.6, "stress_multiplier": 1.0}
    return make_env(market, **(given | settings))


def test_the_venue_freezes_then_fails_and_is_gone() -> None:
    market = fail_venue(flat(AWAY, HOME, "PLAIN"), "tiered", AT, DAY)
    state = market.bars[:, :, layout.HALTED]
    frozen, failed, whole, gone = (
        layout.FROZEN,
        layout.FAILED,
        layout.FAILED_WHOLE,
        layout.UNLISTED,
    )
    assert state[:, 0].tolist() == [0, 0, 0, *[frozen] * 3, failed, *[gone] * 5]
    assert state[:, 1].tolist() == [0, 0, 0, *[frozen] * 3, whole, *[gone] * 5]
    assert not state[:, 2].any()
    assert "no money leaves it for 3 h, then it defaults (made up)" in market.notes[-1]


def test_a_span_that_begins_later_has_no_such_venue() -> None:
    later = flat(AWAY, "PLAIN")
    later = replace(later, close_ns=later.close_ns + 86_400_000_000_000)
    market = fail_venue(stack([flat(AWAY, "PLAIN"), later]), "tiered", AT, DAY)
    state = market.bars[12:, :, layout.HALTED]
    assert (state[:, 0] == layout.UNLISTED).all()
    assert not state[:, 1].any()
    infos = play(env_of(market), [[SHORT, SHORT], [HOLD, HOLD]], path=1)
    assert infos[0]["account"]["perp"][0] == 0.0
    assert infos[0]["account"]["perp"][1] < 0.0


def test_what_lies_there_is_lost_but_for_a_share() -> None:
    """A full hedged short of 30,000 at leverage 1: 15,000 of margin there, 15,000 of spot here."""
    env = env_of(fail_venue(flat(AWAY), "tiered", AT, DAY))
    infos = play(env, [SHORT, *[HOLD] * 8])
    at_default = infos[5]
    assert at_default["trade"]["reason"] == ("the venue failed",)
    assert at_default["parts"]["liquidation_loss"] == pytest.approx(-0.6 * 15_000)
    assert at_default["equity"] == pytest.approx(30_000 - 9_000)
    # the spot is sold, the rest of the wallet paid out
    assert at_default["account"]["spot"][0] == at_default["account"]["perp"][0] == 0.0
    assert at_default["account"]["cash"] == pytest.approx(21_000)


def test_coins_and_cash_are_lost_where_they_lie_there() -> None:
    env = env_of(fail_venue(flat("tiered:PLAIN"), "tiered", AT, DAY))
    assert play(env, [SHORT, *[HOLD] * 6])[5]["equity"] == pytest.approx(0.4 * 30_000)
    half = (0.5, 1.0, 1.0)  # 15,000 stay cash
    other = env_of(fail_venue(flat("PLAIN", "tiered:PLAIN"), "tiered", AT, DAY))
    lost = 30_000 - play(other, [[half, half], *[[HOLD, HOLD]] * 6])[5]["equity"]
    assert lost == pytest.approx(0.6 * 7_500)
    own = env_of(fail_venue(flat("tiered:PLAIN"), "tiered", AT, DAY), venue=OWN_VENUES[1])
    assert play(own, [half, *[HOLD] * 6])[5]["equity"] == pytest.approx(0.4 * 30_000)


def test_the_venue_of_the_coins_fails_beside_a_perpetual_elsewhere() -> None:
    """A full hedged short of 30,000 at leverage 1: 15,000 of spot on plain, 15,000 of margin on
    tiered. plain defaults: 60 % of the coins are lost, the rest is sold, and the perpetual, which
    settles once more at 1 %, is closed on its own venue and gives its margin back.
    """
    rows = [[bar(100.0)]] * 6 + [[bar(100.0, settle_rate=0.01, settle_price=100.0)]] * 6
    market = fail_venue(tape(*rows, symbols=(AWAY,)), "plain", AT, DAY)
    state = market.bars[:, 0, layout.HALTED].tolist()
    frozen, gone = layout.FROZEN_SPOT, layout.UNLISTED
    assert state == [0, 0, 0, *[frozen] * 3, layout.FAILED_SPOT, *[gone] * 5]
    assert (market.bars[7:, 0, layout.SETTLE_PRICE] == 0.0).all()
    infos = play(env_of(market), [SHORT, *[HOLD] * 8])
    at_default = infos[5]
    assert at_default["trade"]["reason"] == ("the venue failed",)
    assert at_default["parts"]["liquidation_loss"] == pytest.approx(-0.6 * 15_000)
    assert at_default["parts"]["funding"] == pytest.approx(150.0)
    assert at_default["account"]["spot"][0] == at_default["account"]["perp"][0] == 0.0
    assert at_default["equity"] == pytest.approx(21_150)
    assert infos[-1]["equity"] == pytest.approx(21_150)


@pytest.mark.parametrize(("venue", "lost"), [(0, 0.6 * 22_500), (1, 0.6 * 7_500)])
def test_cash_is_lost_with_the_coins_where_their_venue_is_that_of_the_account(
    venue: int, lost: float
) -> None:
    """Half a hedged short at leverage 1: 7,500 of coins on plain, 7,500 of margin on tiered,
    15,000 of cash on the venue of the account, plain or tiered.
    """
    market = fail_venue(flat(AWAY), "plain", AT, DAY)
    env = env_of(market, venue=OWN_VENUES[venue])
    infos = play(env, [(0.5, 1.0, 1.0), *[HOLD] * 6])
    assert infos[5]["equity"] == pytest.approx(30_000 - lost)


def test_no_money_leaves_a_frozen_venue_of_the_account() -> None:
    """Its cash reaches no other venue, though money moves at once otherwise, and what comes free
    there stays there.
    """
    market = fail_venue(flat(AWAY, "tiered:PLAIN", rows=14), "plain", AT, Failure(4.0, False, "no"))
    moves = [[SHORT, HOLD], [HOLD, HOLD], [(0.0, 1.0, 1.0), SHORT], [HOLD, SHORT]]
    infos = play(env_of(market), [*moves, *[[HOLD, HOLD]] * 3, [HOLD, SHORT]])
    assert infos[2]["account"]["perp"] == pytest.approx([0.0, 0.0])
    assert infos[2]["trade"]["reason"][1] == "the coins are frozen"
    assert infos[2]["account"]["margin"] == pytest.approx([7_500, 0.0])
    assert infos[-1]["account"]["perp"] == pytest.approx([0.0, -75.0])


def test_coins_on_a_frozen_venue_are_neither_bought_nor_sold_for_cash_elsewhere() -> None:
    market = fail_venue(flat("tiered:PLAIN"), "tiered", AT, DAY)
    infos = play(env_of(market), [SHORT, HOLD, (0.0, 1.0, 1.0), HOLD])
    assert infos[2]["trade"]["reason"] == ("the coins are frozen",)
    assert infos[2]["account"]["spot"][0] == pytest.approx(150.0)
    assert infos[2]["account"]["perp"][0] == pytest.approx(-150.0)
    # an account of the venue itself has its cash there
    own = env_of(market, venue=OWN_VENUES[1])
    assert play(own, [SHORT, HOLD, (0.0, 1.0, 1.0)])[2]["account"]["spot"][0] == 0.0


def test_the_wallet_of_a_venue_is_lost_once_for_all_its_legs() -> None:
    """Cross: two shorts of a quarter of 30,000 each at leverage 1, one of which has lost 10 x 75
    and the other won as much: 15,000 are in their wallet.
    """
    rows = [[bar(100.0), bar(100.0)]] * 3 + [[bar(110.0), bar(90.0)]] * 9
    names = ("tiered:PLAIN@plain:PLAIN", "tiered:OTHER@plain:OTHER")
    market = fail_venue(tape(*rows, symbols=names), "tiered", AT, DAY)
    env = env_of(market, margin_mode="cross")
    infos = play(env, [[SHORT, SHORT], *[[HOLD, HOLD]] * 6])
    assert infos[4]["account"]["margin"] == pytest.approx([15_000, 0])
    assert infos[5]["parts"]["liquidation_loss"] == pytest.approx(-0.6 * 15_000)
    assert infos[5]["equity"] == pytest.approx(21_000)


def test_money_cannot_leave_while_the_venue_is_frozen() -> None:
    """The position may be closed; its margin stays and is lost."""
    moves = [SHORT, HOLD, (0.0, 1.0, 1.0), *[HOLD] * 6]
    env = env_of(fail_venue(flat(AWAY), "tiered", AT, DAY))
    infos = play(env, moves)
    assert infos[2]["account"]["perp"][0] == 0.0
    assert infos[2]["account"]["margin"][0] == pytest.approx(15_000)
    assert infos[5]["equity"] == pytest.approx(21_000)
    quick = env_of(fail_venue(flat(AWAY), "tiered", "2024-01-01 03:00", DAY))
    assert play(quick, moves)[6]["equity"] == pytest.approx(30_000)  # left an hour before


def test_a_halt_loses_nothing() -> None:
    market = fail_venue(flat(AWAY), "tiered", AT, Failure(3.0, False, "made up"))
    infos = play(env_of(market), [SHORT, HOLD, (0.0, 1.0, 1.0), HOLD, HOLD, HOLD, (0.0, 1.0, 1.0)])
    assert infos[3]["account"]["margin"][0] == pytest.approx(15_000)
    assert infos[-1]["account"]["margin"][0] == 0.0
    assert infos[-1]["equity"] == pytest.approx(30_000)


def test_no_row_before_it_knows() -> None:
    rng = np.random.default_rng(0)
    prices = 100.0 + rng.normal(size=12).cumsum()
    market = tape(*[bar(p) for p in prices], symbols=(AWAY,))
    failed = fail_venue(market, "tiered", AT, DAY)
    assert np.array_equal(failed.features[:6], market.features[:6])
    keep = np.arange(layout.N_COLUMNS) != layout.HALTED
    assert np.array_equal(failed.bars[:6, 0, keep], market.bars[:6, 0, keep])
    infos = [play(env_of(m), [SHORT, *[HOLD] * 4])[-1]["obs"].tolist() for m in (market, failed)]
    assert infos[0] == infos[1]


def test_what_is_not_described_is_refused() -> None:
    market = flat(AWAY)
    with pytest.raises(SplitError, match="unknown failure 'fxt'; did you mean ftx"):
        fail_venue(market, "tiered", AT, "fxt")
    with pytest.raises(SplitError, match="no path with an asset on 'okx'"):
        fail_venue(market, "okx", AT, DAY)
    with pytest.raises(SplitError, match="holds 2024-01-01 10:00"):
        fail_venue(market, "tiered", "2024-01-01 10:00", DAY)
    halted = market.bars.copy()
    halted[4, 0, layout.HALTED] = layout.NO_PRICE
    with pytest.raises(SplitError, match="has no price in a bar of the failure"):
        fail_venue(replace(market, bars=halted), "tiered", AT, DAY)
    failed = fail_venue(market, "tiered", AT, DAY)
    with pytest.raises(SplitError, match="let it fail last"):
        splice(failed, "2020-03-12")
    with pytest.raises(ConfigError, match="isolated and cross wallets of linear contracts"):
        env_of(failed, margin_mode="portfolio")


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
def test_cash_of_a_frozen_account_buys_no_coins_elsewhere(margin_mode: str) -> None:
    market = fail_venue(flat("plain:PLAIN", "tiered:PLAIN"), "plain", AT, DAY)
    ends = []
    for flees in (False, True):
        env = env_of(market, margin_mode=margin_mode, capital="shared", max_leverage=10.0)
        small, large = (0.2, 1.0, 1.0), (0.95, 1.5, 4.0)
        moves = [[HOLD, large if flees and hour >= 2 else small] for hour in range(9)]
        infos = play(env, moves)
        assert not flees or infos[3]["trade"]["reason"][1] == "the coins are frozen"
        ends.append(infos[-1]["equity"])
    assert ends[0] == pytest.approx(ends[1])


def test_a_name_without_a_venue_trades_on_that_of_the_market() -> None:
    bare, named = (
        replace(flat(first, "tiered:PLAIN"), venue="plain") for first in ("PLAIN", "plain:PLAIN")
    )
    states = [
        fail_venue(market, "plain", AT, DAY).bars[:, :, layout.HALTED] for market in (bare, named)
    ]
    assert states[0].any()
    np.testing.assert_array_equal(*states)
