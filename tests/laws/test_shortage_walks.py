"""Short funds on walks of wild markets: no hedge is spoilt, nothing is opened on debt."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fundenv.market import layout
from tests.laws.play import action, make_env, play
from tests.laws.test_reference import EVERYTHING
from tests.laws.wild import SEEDS, full_targets, poor_settings
from tests.markets import bar, tape, wild_market


def test_a_shortage_never_spoils_a_hedge_and_never_gives_up_a_reduction():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=100, **EVERYTHING)
    @given(SEEDS, poor_settings())
    def check(seed, chosen):
        symbols = ("PLAIN", "PLAIN2")  # without lots and minimum notional
        # an empty pool of quote: what pays back coins needs quote, and is all that is left (7.10)
        chosen |= {"margin_level": 0.0, "quote_supply": 0.0}
        rng, env = np.random.default_rng(seed), make_env(wild_market(seed, symbols, 2), **chosen)
        for path in range(2):
            env.reset(options={"path": path, "start": 0})
            before = {"spot": np.zeros(2), "perp": np.zeros(2)}
            for _ in range(40):
                _, _, terminated, truncated, info = env.step(action(full_targets(rng, 2)))
                for a in np.flatnonzero(info["liquidated"] == 0):
                    _check_leg(seen, info["trade"], before, a)
                before = info["account"]
                if terminated or truncated:
                    break

    check()
    assert seen["short"] > 300
    assert seen["closes"] > 100
    assert seen["hedged"] > 100


def _check_leg(seen, trade, before, a):
    """The two laws for one asset of one step without liquidations: what its order closes is filled,
    and its hedge ratio is not worse than it was.
    """
    if trade["reason"][a] != "not enough funds":
        return
    seen["short"] += 1
    legs = ("spot", "perp")
    held, asked, filled = (
        np.array([source[a] for source in sources])
        for sources in (
            [before[leg] for leg in legs],
            [trade[f"requested_{leg}"] for leg in legs],
            [trade[f"filled_{leg}"] for leg in legs],
        )
    )
    if not asked.any():
        return  # an order after a liquidation, which nobody asked for in this step
    unit = np.abs(held) + np.abs(asked)
    closes = np.where(held * asked < 0, np.minimum(np.abs(asked), np.abs(held)), 0.0)
    seen["closes"] += bool((closes > 1e-6 * unit).any())
    assert (np.sign(asked) * filled >= closes - 1e-9 * unit)[closes > 0].all(), (
        held,
        asked,
        filled,
    )
    target, now = held + asked, held + filled
    if abs(now[1]) > 1e-6 * unit[1] and abs(target[1]) > 1e-6 * unit[1]:
        seen["hedged"] += 1
        assert now[0] / now[1] == pytest.approx(target[0] / target[1], rel=1e-6, abs=1e-6), (
            held,
            asked,
            filled,
        )


def test_lots_and_minimum_notional_never_leave_a_debt():
    # 22.5 short at leverage 1, 450 of cash. A hedge of 1.5 costs 675: a shrunk target closes 4.5 of
    # the short, which is below 100 quote and dropped
    opened, hedged = play(
        make_env(tape(*[bar(20)] * 4, symbols=("FINE",)), initial_equity=900.0),
        [(1.0, 0.0, 1.0), (1.0, 1.5, 1.0)],
    )
    assert opened["account"]["cash"] == pytest.approx(450, abs=0.1)
    assert hedged["trade"]["reason"][0] == "not enough funds"
    assert hedged["account"]["perp"][0] == -22.5
    assert 22 < hedged["account"]["spot"][0] < 22.5
    assert 0 <= hedged["account"]["cash"] < 10


SIZED = st.sampled_from([("FINE",), ("COSTLY",), ("FINE", "COSTLY"), ("COSTLY", "FINE", "PLAIN")])


def test_nothing_is_opened_on_borrowed_quote():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=200, **EVERYTHING)
    @given(SEEDS, SIZED, poor_settings(), st.sampled_from([300.0, 3_000.0, 100_000.0]))
    def check(seed, symbols, chosen, equity):
        free = {
            "quote_borrow_rate": 0.0,
            "base_borrow_rate": 0.0,
            "borrow_steep": 0.0,
            "margin_level": 0.0,
            "initial_equity": equity,
        }
        rng, market = np.random.default_rng(seed), wild_market(seed, symbols, 2)
        env = make_env(market, **(chosen | free))
        for path in range(2):
            env.reset(options={"path": path, "start": 0})
            legs, leverage = ("spot", "perp"), np.ones(len(symbols))
            before = np.zeros((2, len(symbols)))
            for _ in range(40):
                move = full_targets(rng, len(symbols))
                leverage = np.array(
                    [
                        old if target is None else target[2]
                        for old, target in zip(leverage, move, strict=True)
                    ]
                )
                _, _, terminated, truncated, info = env.step(action(move))
                now = np.array([info["account"][leg] for leg in legs])
                seen["short"] += "not enough funds" in info["trade"]["reason"]
                if not info["liquidated"].any():
                    opened = ((np.abs(now) > np.abs(before)) | (now * before < 0)).any()
                    left = _free_at_the_open(
                        market.bars[info["row"]], info, leverage, chosen["margin_mode"]
                    )
                    if left < -1e-9 * max(equity, info["equity"]):
                        seen["debts"] += 1
                        assert not opened, (before, now, left)
                before = now
                if terminated or truncated:
                    break

    check()
    assert seen["short"] > 500
    assert seen["debts"] > 10


def _free_at_the_open(bars, info, leverage, margin_mode):
    """f of what was filled, at the opens of a bar: free cash less what the wallets lack; in
    portfolio mode adjusted equity less initial margin.
    """
    account, traded = (
        info["account"],
        (info["trade"]["filled_spot"] != 0) | (info["trade"]["filled_perp"] != 0),
    )
    spot, size = (
        account["spot"] * bars[:, layout.SPOT_OPEN],
        account["perp"] * bars[:, layout.PERP_OPEN],
    )
    held = (
        np.where(size != 0, size - account["perp"] * account["entry"], 0.0)
        - np.abs(size) / leverage
    )
    if margin_mode == "portfolio":
        return account["cash"] + (np.minimum(spot, 0.95 * spot) + held).sum()
    wallets = account["margin"] + held
    lacking = (
        min(wallets.sum(), 0.0)
        if margin_mode == "cross"
        else np.minimum(wallets, 0.0)[traded].sum()
    )
    return account["cash"] + np.minimum(spot, 0.0).sum() + lacking
