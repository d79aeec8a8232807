"""Portfolio margin by hand: the spot leg backs the perpetual after its haircut, so a hedged short
outlives the rally that liquidates an isolated one.
"""

import pytest

from fundenv.formulas.margin import adjusted_equity, uni_mmr
from tests.laws.play import HOLD, make_env, play
from tests.markets import bar, tape

# 30,000 x 1/4 x 4 / (1 + 0.05 x 4) = 25,000 of spot, 25,000 short, 5,000 of cash
SHORT = (0.25, 1.0, 4.0)


def run(mode, **extremes):
    market = tape(bar(100.0), bar(100.0), bar(100.0, **extremes))
    return play(make_env(market, margin_mode=mode, after_liquidation="naked"), [SHORT, HOLD])[-1]


def test_a_rally_of_30_percent_takes_the_isolated_short_and_leaves_the_portfolio():
    assert run("isolated", high=130.0)["liquidated"][0] == 1
    assert run("cross", high=130.0)["liquidated"][0] == 1
    assert run("portfolio", high=130.0)["liquidated"][0] == 0


def test_the_trigger_stands_where_the_public_ratio_is_one_point_nought_five():
    """5,000 + 250 x 0.95 p - 250 (p - 100) = 1.05 x 0.01 x 250 p, so p = 30,000 / (12.5 +
    2.625).
    """
    price = 30_000 / (12.5 + 2.625)
    net = [5_000.0 - 250.0 * (price - 100.0), 250.0]
    assert uni_mmr(
        adjusted_equity(net, [1.0, price], [1.0, 0.95]), 0.01 * 250 * price
    ) == pytest.approx(1.05)
    assert run("portfolio", high=price * (1 - 1e-9))["liquidated"][0] == 0
    assert run("portfolio", high=price * (1 + 1e-9))["liquidated"][0] == 1


def test_there_is_no_wallet_and_funding_goes_through_cash():
    market = tape(bar(100.0), bar(100.0), bar(100.0, settle_rate=0.001, settle_price=100.0))
    before, after = (
        info["account"] for info in play(make_env(market, margin_mode="portfolio"), [SHORT, HOLD])
    )
    assert (before["cash"], before["margin"][0]) == (pytest.approx(5_000.0), 0.0)
    assert after["cash"] - before["cash"] == pytest.approx(25.0)


def test_a_loss_beyond_all_collateral_stays_with_the_account():
    market = tape(bar(100.0), bar(100.0), bar(900.0, 100.0))
    env = make_env(market, margin_mode="portfolio", after_liquidation="naked", ruin_fraction=0.0)
    last = play(env, [(1.0, 0.0, 5.0), HOLD])[-1]
    assert last["liquidated"][0] == 1
    assert last["account"]["cash"] < -900_000.0  # 1,200 short from 100 to 900, not capped
