"""Coin-margined contracts: closed forms, and the short at leverage 1 as a synthetic dollar."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fundenv.batch.cpu import Batch
from fundenv.formulas import contract, funding, liquidation
from fundenv.market import load_market
from fundenv.optima.bound import carry_bound
from fundenv.optima.foresight import Foresight
from tests.laws.coin_env import COIN, LONG, SHORT, WALLETS, coin_env
from tests.laws.play import FLAT, HOLD, equity_of, play
from tests.markets import bar, tape

MODES = pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])


@WALLETS
def test_a_short_at_leverage_one_is_a_synthetic_dollar(margin_mode):
    """All coins are margin: 30,000 quote stay 30,000 through a rally of 100 times and a fall by 99
    %, and nothing liquidates them.
    """
    prices = [100.0, 100.0, 300.0, 10_000.0, 1.0, 5_000.0]
    rows = [bar(start, end) for start, end in zip(prices, prices[1:], strict=False)]
    infos = play(coin_env(tape(rows[0], *rows), margin_mode=margin_mode), [SHORT, *[HOLD] * 4])
    assert len(infos) == 5
    for info in infos:
        assert info["equity"] == pytest.approx(30_000.0, rel=1e-9)
        assert not info["liquidated"].any()
        assert info["account"]["perp"][0] == pytest.approx(-30_000.0)
        assert info["account"]["spot"][0] == pytest.approx(0.0, abs=1e-9)
        assert info["account"]["margin"][0] == pytest.approx(300.0)  # 30,000 / 100 coins


@pytest.mark.parametrize(("side", "leverage"), [(-1, 3.0), (-1, 8.0), (1, 1.0), (1, 5.0)])
def test_profit_funding_and_liquidation_price_are_the_public_formulas(side, leverage):
    """Without hedge at 100, 30,000 quote of contracts: the wallet holds 300 / leverage borrowed
    coins.
    """
    move = (-float(side), 0.0, leverage)
    calm = [bar(100.0), bar(100.0), bar(100.0, 104.0, settle_price=101.0, settle_rate=0.01)]
    opened, settled = play(coin_env(tape(*calm)), [move, HOLD])
    account = opened["account"]
    size, margin = float(account["perp"][0]), float(account["margin"][0])
    assert size == pytest.approx(side * 30_000)
    assert margin == pytest.approx(
        contract.initial_margin(contract.inverse_notional(size, 100.0), leverage)
    )
    # no coin is held on balance: the hedge is 0
    assert account["spot"][0] + margin == pytest.approx(0.0, abs=1e-9)
    paid = funding.inverse_payment(size, 101.0, 0.01)
    assert settled["parts"]["funding"] == pytest.approx(paid * 100.0)  # coin at the last spot close
    assert settled["parts"]["perp_pnl"] == pytest.approx(
        contract.inverse_unrealised(size, 100.0, 104.0) * 104.0
    )
    price = liquidation.binance_coinm_price(margin, size, 100.0, 0.01, face=1.0)
    assert (price - 100.0) * side < 0
    for factor, fires in ((1 + side * 1e-7, False), (1 - side * 1e-7, True)):
        wick = {"low": price * factor} if side > 0 else {"high": price * factor}
        last = play(coin_env(tape(*calm[:2], bar(100.0, **wick))), [move, HOLD])[-1]
        assert bool(last["liquidated"][0]) is fires


@MODES
def test_going_flat_sells_every_coin(margin_mode):
    rows = [bar(100.0), bar(100.0, 110.0), bar(111.0, 90.0), bar(90.0)]
    infos = play(
        coin_env(tape(*rows), margin_mode=margin_mode, perp_fee=0.001, spot_fee=0.001),
        [(0.9, 1.0, 2.0), FLAT, HOLD],
    )
    account = infos[-1]["account"]
    assert account["perp"][0] == account["spot"][0] == account["margin"][0] == 0.0

    assert 29_700 < infos[-1]["equity"] < 30_000 - 4 * 27  # four fills of 27,000 or more at 10 bp


@WALLETS
def test_a_reverse_carry_borrows_its_margin_and_its_hedge(margin_mode):
    opened, later = play(
        coin_env(tape(bar(100.0), bar(100.0), bar(100.0, 130.0)), margin_mode=margin_mode),
        [LONG, HOLD],
    )
    account = opened["account"]
    assert account["perp"][0] == pytest.approx(30_000.0)
    assert account["margin"][0] == pytest.approx(300.0)
    assert account["spot"][0] == pytest.approx(-600.0)  # 300 sold, 300 posted
    assert later["equity"] == pytest.approx(30_000.0)


def test_isolated_holds_the_margin_apart_and_cross_all_coins():
    wallets = {}
    for mode in ("isolated", "cross"):
        account = play(coin_env(tape(*[bar(100.0)] * 2), margin_mode=mode), [(1.0, 1.0, 5.0)])[-1][
            "account"
        ]
        wallets[mode] = float(account["margin"][0]), float(account["spot"][0])
    assert wallets["isolated"] == pytest.approx((60.0, 240.0))
    assert wallets["cross"] == pytest.approx((300.0, 0.0))


def test_a_wick_takes_the_isolated_wallet_and_leaves_cross():
    rows = [bar(100.0), bar(100.0), bar(100.0, high=140.0)]
    lost = {
        mode: play(coin_env(tape(*rows), margin_mode=mode), [(1.0, 1.0, 5.0), HOLD])[-1]
        for mode in ("isolated", "cross")
    }
    assert lost["isolated"]["liquidated"][0] == 1
    assert lost["cross"]["liquidated"][0] == 0


def test_the_clairvoyant_refuses_what_it_does_not_cover():
    batch = Batch(
        1, market=tape(*[bar(100.0)] * 60), venue=COIN, decision_interval="8h", random_start=False
    )
    with pytest.raises(
        ValueError, match="trades inverse contracts, which the bound does not cover"
    ):
        carry_bound(batch, leverage=3.0)
    with pytest.raises(ValueError, match="trades inverse contracts, which the plan does not cover"):
        Foresight(batch, [0.0, 1.0], [1.0])


def test_bybit_inverse_history_is_stepped(tmp_path):
    """Real funding and contract prices of Bybit's BTCUSD beside Binance's spot: the synthetic
    dollar earns the funding that was paid.
    """
    if "FUNDENV_DATA" not in os.environ:
        pytest.skip("FUNDENV_DATA is unset: no real market data")
    data = Path(os.environ["FUNDENV_DATA"])
    names = {
        "bybit_BTCUSD_funding": None,
        "bybit_BTCUSD_perp_8h": None,
        "binance_BTCUSDT_spot_1h": "bybit_BTCUSD_spot_1h",
    }
    for name, other in names.items():
        shutil.copy(data / f"{name}.parquet", tmp_path / f"{other or name}.parquet")
    market = load_market(tmp_path, ["BTCUSD"], venue="bybit_inverse", volume_required=False)
    settings = {"venue": COIN, "decision_interval": "8h"}
    infos = play(coin_env(market, **settings), [SHORT, *[HOLD] * 3000])
    assert len(infos) > 2_000
    assert not any(info["liquidated"].any() for info in infos)
    paid = sum(info["parts"]["funding"] for info in infos)
    assert equity_of(infos[-1], inverse=True) == pytest.approx(infos[-1]["equity"])
    rates = market.bars[: infos[-1]["row"] + 1, 0, 8]
    # simple interest on 30,000 dollars, paid in coins that are kept
    assert paid / 30_000.0 == pytest.approx(rates.sum(), abs=0.1)
    assert paid > 0
