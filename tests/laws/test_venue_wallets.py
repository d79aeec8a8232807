"""A wallet for each venue of an account, worked out by hand: cross margin within a venue, the rally
that liquidates while the profit waits elsewhere, interest of a wallet away from home, and the
future that no such account knows.

`far` has the rules of `plain`: maintenance 1 % of the mark value, a liquidation closes all and
costs 0.5 % of what it closes, no spread, no impact.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fundenv.config import ConfigError
from fundenv.market import layout
from tests.laws.play import FLAT, HOLD, make_env, play
from tests.laws.test_causality import SETTINGS, STATES, corrupted, random_moves, same
from tests.laws.wild import OWN_VENUES
from tests.markets import PLAIN_VENUE, bar, tape, wild_market

NOTHING = 'annual = { value = 0.0, source = "made up", date = "2024" }'
# an hour is 1e-5 until June 2023, then 2e-5
DATED = """annual = [
    { valid_from = 2020-01-01, value = 0.0876, source = "made up", date = "2024" },
    { valid_from = 2023-06-01, value = 0.1752, source = "made up", date = "2024" },
]"""


@pytest.fixture
def far(tmp_path: Path) -> tuple[str, ...]:
    """The venues of the account: `far`, which pays nothing, and `paying`, which pays."""
    plain = Path(PLAIN_VENUE).read_text()
    paths = tmp_path / "far.toml", tmp_path / "paying.toml"
    for path, rate in zip(paths, (NOTHING, DATED), strict=True):
        text = plain.replace('name = "plain"', f'name = "{path.stem}"').replace(NOTHING, rate)
        assert path.stem in text
        assert rate in text
        path.write_text(text)
    return tuple(map(str, paths))


def test_a_loss_on_one_venue_leaves_the_wallet_of_the_other_alone(far):
    """30,000 in three parts at leverage 10: 10,000 x 10 / 11 / 100 = 90.909 units, margin 909.09
    each. Coin rises by 12 %: the shorts lose 1,090.91, and a long of another coin on `plain` has
    won as much at its open. Cross: the wallet of `plain` holds 1,818.18 for both and passes, that
    of `far` has 909.09 and fails. Isolated: the short on `plain` fails too.
    """
    rise = [bar(100.0, high=112.0), bar(112.0), bar(100.0, high=112.0)]
    market = tape(
        *[[bar(100.0)] * 3] * 2, rise, symbols=("PLAIN", "OTHER", "far:PLAIN@plain:PLAIN")
    )
    short, long = (1.0, 0.0, 10.0), (-1.0, 0.0, 10.0)
    units = 10_000 * 10 / 11 / 100
    for mode, liquidated, left in (
        ("cross", [0, 0, 1], [2 * units * 10, 0.0, 0.0]),
        ("isolated", [1, 0, 1], [0.0, units * 10, 0.0]),
    ):
        env = make_env(market, venues=far, margin_mode=mode, after_liquidation="naked")
        opened, after = play(env, [[short, long, short], [HOLD, HOLD, HOLD]])
        assert opened["account"]["perp"] == pytest.approx([-units, units, -units])
        assert list(after["liquidated"]) == liquidated, mode
        assert after["account"]["margin"] == pytest.approx(left), mode
        # the price at which 909.09 - units x (p - 100) meets 1 % of units x p: (100 + 10) / 1.01
        fee, rest = 0.005 * units * 110 / 1.01, 0.01 * units * 110 / 1.01
        lost = sum(liquidated) * (units * 10 - rest + fee)
        won = units * 12.0
        assert after["equity"] == pytest.approx(30_000 + won - lost), mode


def test_a_rally_liquidates_while_the_profit_waits_on_the_other_venue(far):
    """30,000 at leverage 3: 22,500 of notional, 225 units, 7,500 on `far` and 22,500 of spot. The
    short fails where 7,500 - 225 (p - 100) = 2.25 p: at 30,000 / 227.25 = 132.013. Then the spot
    has gained 225 x 32.013 = 7,203, which is on `plain` and helps nobody on `far`: 297.03 are left
    there, less a fee of 0.005 x 225 x 132.013 = 148.51.
    """
    asset = "far:PLAIN@plain:PLAIN"
    rows = [*[bar(100.0)] * 4, bar(100.0, 130.0), bar(130.0, 133.0, high=133.0), bar(133.0)]
    env = make_env(
        tape(*rows, symbols=(asset,)),
        venues=far,
        transfer_delay="2h",
        after_liquidation="naked",
    )
    target = (1.0, 1.0, 3.0)
    infos = play(env, [target, HOLD, target, HOLD, HOLD])
    opened, risen, failed = infos[2], infos[3], infos[4]
    assert infos[0]["account"]["sent"][0] == pytest.approx(7_500)
    assert opened["account"]["perp"][0] == pytest.approx(-225.0)
    assert risen["account"]["margin"][0] == pytest.approx(7_500)
    assert risen["equity"] == pytest.approx(30_000)  # the hedge is whole
    price = 30_000 / 227.25
    assert list(failed["liquidated"]) == [1]
    left = 0.01 * 225 * price - 0.005 * 225 * price
    assert failed["account"]["margin"][0] == pytest.approx(left) == pytest.approx(148.515, abs=1e-3)
    assert failed["account"]["spot"][0] == pytest.approx(225.0)
    assert failed["account"]["cash"] == pytest.approx(0.0, abs=1e-9)
    # naked now: the spot goes on to 133
    assert failed["equity"] == pytest.approx(225 * 133.0 + left)
    # money that moves at once: the keeper takes the profit of the spot to the short in time
    quick = make_env(
        tape(*rows, symbols=(asset,)),
        venues=far,
        keeper_interval="1h",
        keeper_up=1.1,
        after_liquidation="naked",
    )
    kept = play(quick, [target, HOLD, target, HOLD, HOLD])[-1]
    assert list(kept["liquidated"]) == [0]
    assert kept["equity"] == pytest.approx(30_000)


def test_the_legs_of_a_venue_share_one_transfer(far):
    """Two shorts on `far` at leverage 3, half of 30,000 each: 3,750 of margin each go as one sum,
    and come back as one.
    """
    names = ("far:PLAIN@plain:PLAIN", "far:OTHER@plain:OTHER")
    env = make_env(
        tape(*[[bar(100.0)] * 2] * 9, symbols=names),
        venues=far,
        margin_mode="cross",
        transfer_delay="2h",
        transfer_cost=10.0,
    )
    target = (1.0, 1.0, 3.0)
    both, neither = [target, target], [FLAT, FLAT]
    infos = play(env, [both, [HOLD] * 2, both, [HOLD] * 2, neither, [HOLD] * 2, [HOLD] * 2])
    assert infos[0]["account"]["sent"] == pytest.approx([7_490, 0])
    assert infos[0]["trade"]["reason"] == ("not enough funds",) * 2
    # the first leg takes its whole margin (3,750 less its part of a cost that came later), the
    # second what is left
    opened = infos[2]["account"]
    assert opened["margin"] == pytest.approx([7_490, 0])
    assert 100 * float(-opened["perp"].sum()) / 3 == pytest.approx(7_490)
    closed = infos[4]["account"]
    assert closed["perp"] == pytest.approx([0, 0])
    assert closed["sent"] == pytest.approx([-7_480, 0])
    home = infos[6]["account"]
    assert home["cash"] == pytest.approx(30_000 - 20)


def test_a_wallet_earns_what_its_own_venue_pays(far):
    """30,000 at leverage 1: 15,000 in the wallet. `paying` pays 2e-5 an hour since June 2023 and
    1e-5 before, `far` and the account's venue nothing; idle cash earns `cash_rate`, 1e-5 an hour.
    """
    whole, half = (1.0, 1.0, 1.0), (0.5, 1.0, 1.0)
    for asset, date, target, earned in (
        ("paying:PLAIN@plain:PLAIN", None, whole, 0.3),
        ("paying:PLAIN@plain:PLAIN", "2021-01-01", whole, 0.15),
        ("far:PLAIN@plain:PLAIN", None, whole, 0.0),
        ("PLAIN", None, whole, 0.0),
        ("paying:PLAIN", None, half, 0.15 + 0.15),
    ):
        env = make_env(
            tape(*[bar(100.0)] * 3, symbols=(asset,)),
            venues=far,
            venue_date=date,
            cash_rate=0.0876,
        )
        (info,) = play(env, [target])
        assert info["parts"]["cash_interest"] == pytest.approx(earned, rel=1e-9, abs=1e-12), asset
        assert info["equity"] == pytest.approx(30_000 + earned, rel=1e-12)


def test_portfolio_margin_over_several_venues_is_refused(far):
    market = tape(*[[bar(100.0)] * 2] * 3, symbols=("PLAIN", "far:PLAIN@plain:PLAIN"))
    with pytest.raises(ConfigError, match=r"one wallet of one venue, .* on several .*'cross'"):
        make_env(market, venues=far, margin_mode="portfolio")


FAILING = (layout.FROZEN, layout.FROZEN_SPOT, layout.FAILED, layout.FAILED_WHOLE)
PLACES = ("entry:FINE@plain:FINE", "entry:COSTLY", "FINE", "twofold:COSTLY@entry:COSTLY")


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
@pytest.mark.parametrize("travels", [{}, {"transfer_delay": "2h", "transfer_cost": 3.0}])
def test_the_future_changes_nothing_in_accounts_on_several_venues(margin_mode, travels):
    steps = 12
    settings: dict[str, Any] = SETTINGS | travels | {"margin_mode": margin_mode}
    settings |= {"venues": OWN_VENUES, "ruin_fraction": 0.0}
    for seed in range(3):
        market = wild_market(seed, PLACES, length=3 * steps + 2, failures=True)
        moves = random_moves(seed, steps, len(PLACES))
        whole = play(make_env(market, **settings), moves)
        assert len(whole) > 3
        for known in range(1, len(whole)):
            row = whole[known - 1]["row"]
            other = corrupted(market, row, seed, (*STATES, *FAILING, layout.FAILED_SPOT))
            part = play(make_env(other, **settings), moves[:known])
            assert len(part) == known
            assert all(same(x, y) for x, y in zip(whole, part, strict=False)), (seed, known)
