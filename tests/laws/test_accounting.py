"""The law held hardest: the parts of every step add up to the change of equity, and equity is what
account and prices say it is.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from fundenv.envs.vector import FundingHedgeVectorEnv
from tests.laws.play import FRICTIONLESS, action, equity_of, make_env
from tests.laws.wild import SEEDS, SYMBOLS, settings, targets
from tests.markets import wild_market

EXAMPLES, PATHS = 250, 8  # two thousand episodes


def books_are_wrong(before: float, info: dict[str, Any], inverse: Any = False) -> str:
    """What does not add up in one step, or "". The unit of the error is the money that moved:
    equity, positions and parts.
    """
    parts, account = info["parts"], info["account"]
    value = np.where(inverse, 1.0, info["prices"]["mark"])
    gross = np.abs(account["spot"]) * info["prices"]["spot"] + np.abs(account["perp"]) * value
    unit = max(
        abs(before),
        abs(info["equity"]),
        abs(account["cash"]),
        gross.sum(),
        *(abs(v) for v in parts.values()),
    )
    if not all(math.isfinite(v) for v in (info["equity"], info["reward"], *parts.values())):
        return "not finite"
    if abs(before + sum(parts.values()) - info["equity"]) > 1e-9 * unit:
        return (
            f"parts {sum(parts.values())!r} for a change of equity of {info['equity'] - before!r}"
        )
    if abs(equity_of(info, inverse) - info["equity"]) > 1e-9 * unit:
        return (
            f"account and prices give {equity_of(info, inverse)!r}, equity says {info['equity']!r}"
        )
    if any((account["perp"] == 0) & (account["entry"] != 0)):
        return f"an entry price without a position: {account['entry']}"
    return ""


def note(seen: Counter[str], info: dict[str, Any], margin_mode: str) -> None:
    seen["steps"] += 1
    seen[f"liquidated {margin_mode}"] += int(info["liquidated"].sum())
    seen["several liquidations in a step"] += info["liquidated"].max() > 1
    seen["venue bore a loss"] += info["parts"]["liquidation_loss"] > 0
    seen["ruin"] += bool(info["terminated"])
    seen["debt"] += info["equity"] < 0
    seen["borrowed quote"] += info["account"]["cash"] < 0
    seen["borrowed base"] += bool((info["account"]["spot"] < 0).any())
    seen["unhedged spot"] += bool(
        ((info["account"]["spot"] != 0) & (info["account"]["perp"] == 0)).any()
    )
    seen["truncated"] += bool(info["truncated"])
    for reason in info["trade"]["reason"]:
        seen[reason] += 1
    for name, money in info["parts"].items():
        seen[name] += money != 0


# what the sample contains, each more often than so: what the law is about
SAMPLE = {
    "liquidated isolated": 100,
    "liquidated cross": 100,
    "liquidated portfolio": 100,
    "venue bore a loss": 100,
    "ruin": 100,
    "borrowed base": 100,
    "unhedged spot": 100,
    "borrowed quote": 10,
    "several liquidations in a step": 10,
    "truncated": 10,
    "debt": 2,
    "funding": 1_000,
    "fees": 1_000,
    "spread": 1_000,
    "impact": 1_000,
    "borrow_interest": 1_000,
    "cash_interest": 1_000,
    "liquidation_loss": 1_000,
    "spot_pnl": 1_000,
    "perp_pnl": 1_000,
    "hold": 50,
    "inside the band": 50,
    "below lot or minimum notional": 50,
    "participation": 50,
    "not enough funds": 50,
    "halted": 50,
    "no borrow": 50,
    "leverage limit of the bracket": 50,
    "none": 50,
}


def test_parts_add_up_to_the_change_of_equity_and_equity_to_the_account():
    seen: Counter[str] = Counter()

    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(SEEDS, SYMBOLS, settings())
    def check(seed, symbols, chosen):
        rng = np.random.default_rng(seed)
        env = make_env(wild_market(seed, symbols, PATHS), **chosen)
        for path in range(PATHS):
            env.reset(options={"path": path, "start": int(rng.integers(0, 20))})
            seen["episodes"] += 1
            before, done = chosen["initial_equity"], False
            while not done:
                _, reward, terminated, truncated, info = env.step(
                    action(targets(rng, len(symbols)))
                )
                info = dict(info) | {
                    "reward": reward,
                    "terminated": terminated,
                    "truncated": truncated,
                }
                assert books_are_wrong(before, info) == ""
                note(seen, info, chosen["margin_mode"])
                before, done = info["equity"], terminated or truncated

    check()
    assert seen["episodes"] >= EXAMPLES * PATHS
    for what, least in SAMPLE.items():
        assert seen[what] > least, (what, seen)


def test_funding_at_the_caps_is_in_the_sample():
    rates = wild_market(1, ("PLAIN",), 50).bars[:, 0, 8]
    assert (rates == 0.02).sum() > 5
    assert (rates == -0.02).sum() > 5


def test_an_episode_adds_up_as_its_steps_do():
    market = wild_market(7, ("COSTLY", "FINE"), length=300)
    env = make_env(
        market,
        max_leverage=20.0,
        initial_equity=1e6,
        ruin_fraction=0.0,
        keeper_interval="1h",
        perp_fee=0.0005,
    )
    rng = np.random.default_rng(7)
    env.reset(options={"path": 0, "start": 0})
    total, done = 0.0, False
    while not done:
        _, _, terminated, truncated, info = env.step(action(targets(rng, 2)))
        total, done = total + sum(info["parts"].values()), terminated or truncated
    assert 1e6 + total == pytest.approx(info["equity"], abs=1e-9 * 1e6 * 300)


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
def test_a_batch_keeps_the_books_of_single_environments(margin_mode):
    market = wild_market(5, ("COSTLY", "FINE"), 6)
    chosen: dict[str, Any] = FRICTIONLESS | {
        "margin_mode": margin_mode,
        "keeper_interval": "1h",
        "max_leverage": 20.0,
    }
    chosen |= {"perp_fee": None, "spot_fee": None, "max_participation": 0.1}
    batch = FundingHedgeVectorEnv(6, info=True, market=market, **chosen)
    batch.reset(seed=0)  # without random starts environment i walks path i
    singles = [make_env(market, **chosen) for _ in range(6)]
    for path, env in enumerate(singles):
        env.reset(options={"path": path, "start": 0})
    rng, alive = np.random.default_rng(0), [True] * 6
    for _ in range(59):
        moves = [action(targets(rng, 2)) for _ in range(6)]
        obs, rewards, terminated, truncated, _ = batch.step(np.stack(moves))
        for i, env in enumerate(singles):
            if alive[i]:
                o, r, ended, cut, _ = env.step(moves[i])
                assert (r, ended, cut) == (rewards[i], terminated[i], truncated[i])
                assert np.array_equal(o, obs[i])
                alive[i] = not (ended or cut)
    assert not any(alive)


@pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
@pytest.mark.parametrize("hedge", [0.5, 1.0])
def test_an_invested_start_spends_the_equity_and_costs_nothing(hedge, margin_mode):
    market = wild_market(9, ("COSTLY", "FINE"), 4)
    env = make_env(
        market,
        margin_mode=margin_mode,
        random_start=True,
        start_invested=1.0,
        hedge=hedge,
        leverage=4.0,
        episode="24h",
    )
    _, info = env.reset(seed=3)
    assert info["equity"] == pytest.approx(30_000, rel=1e-12)
    assert equity_of(info) == pytest.approx(30_000, rel=1e-12)
    account, mark = info["account"], info["prices"]["mark"]
    assert account["cash"] == pytest.approx(0.0, abs=1e-6)
    assert (account["perp"] < 0).all()
    assert account["spot"] == pytest.approx(-hedge * account["perp"], rel=1e-12)
    assert account["margin"].sum() == pytest.approx((-account["perp"] * mark).sum() / 4, rel=1e-12)
    rng, before, done = np.random.default_rng(0), 30_000.0, False
    while not done:
        _, reward, terminated, truncated, info = env.step(action(targets(rng, 2)))
        assert books_are_wrong(before, dict(info) | {"reward": reward}) == ""
        before, done = info["equity"], terminated or truncated
