"""The kernel against the plain-Python account of `tests/oracle/linear`: every number of every
step, to 1e-9.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fundenv.market import Market, joint, load_market
from tests.laws.play import action, as_float32, difference, frictionless, make_env
from tests.laws.test_accounting import books_are_wrong
from tests.laws.wild import (
    MAX_LEVERAGE,
    SEEDS,
    SYMBOLS,
    crashing_settings,
    full_targets,
    poor_settings,
    remembering_settings,
    settings,
    targets,
)
from tests.markets import wild_market
from tests.oracle.linear import ReferenceAccount

EXAMPLES, PATHS = 200, 4
SEVERAL = st.sampled_from(
    [
        ("PLAIN", "PLAIN2"),
        ("FINE", "COSTLY"),
        ("COSTLY", "FINE", "PLAIN"),
        ("PLAIN", "PLAIN2", "PLAIN3"),
    ]
)
# reasons that wild markets give with linear and inverse contracts
REFUSALS = (
    "hold",
    "inside the band",
    "below lot or minimum notional",
    "participation",
    "not enough funds",
    "halted",
    "no borrow",
    "leverage limit of the bracket",
    "no more coins to borrow",
    "loan recalled",
)
EVERYTHING: Any = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    # no shrinking: it takes minutes, and a wild market is not made smaller by it
    "phases": (Phase.explicit, Phase.generate),
}


def walk(
    env: Any,
    market: Market,
    chosen: dict[str, Any],
    path: int,
    start: int,
    rng: np.random.Generator,
    steps: int,
    seen: Counter[str],
    draw: Any = targets,
    account: Any = ReferenceAccount,
) -> None:
    """One episode side by side; fails at the first number that differs, and where the books do not
    add up.
    """
    config = frictionless(**chosen)
    reference = account(market, config, path, start)
    inverse = np.array([rules.inverse for rules in reference.rules])
    before = config.initial_equity
    env.reset(options={"path": path, "start": start})
    scale = config.initial_equity
    for number in range(steps):
        move = [as_float32(t) for t in draw(rng, market.n_assets)]
        _, reward, terminated, truncated, info = env.step(action(move))
        expected = reference.step(move)
        value = expected["account"]["perp"] * np.where(inverse, 1.0, expected["prices"]["mark"])
        scale = max(scale, abs(expected["equity"]), *np.abs(value))
        got = dict(info) | {"reward": reward, "terminated": terminated, "truncated": truncated}
        wrong = books_are_wrong(before, got, inverse) or difference(
            got, expected, scale, inverse=inverse
        )
        assert not wrong, f"step {number}, {wrong}"
        before = got["equity"]
        seen["steps"] += 1
        seen["liquidations"] += int(expected["liquidated"].sum())
        seen[f"liquidated {config.margin_mode}"] += int(expected["liquidated"].sum())
        seen["partial liquidations"] += bool(
            ((expected["liquidated"] > 0) & (expected["account"]["perp"] != 0)).any()
        )
        seen["ruin"] += terminated
        seen["money under way"] += bool(expected["account"]["sent"].any())
        seen["impact got back"] += expected["parts"]["impact"] > 0.0
        seen.update(expected["trade"]["reason"])
        if terminated or truncated:
            break


def walk_paths(
    market: Market, chosen: dict[str, Any], seed: int, seen: Counter[str], **more: Any
) -> None:
    """`walk` 40 steps of every path, from a random row; `more` goes to `walk`."""
    env, rng = make_env(market, **chosen), np.random.default_rng(seed)
    for path in range(PATHS):
        walk(env, market, chosen, path, int(rng.integers(0, 20)), rng, 40, seen, **more)


def test_kernel_and_reference_agree_on_wild_markets():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES, **EVERYTHING)
    @given(SEEDS, SYMBOLS, settings())
    def check(seed, symbols, chosen):
        walk_paths(wild_market(seed, symbols, PATHS), chosen, seed, seen)

    check()
    assert seen["steps"] > 5_000
    assert seen["liquidations"] > 300
    assert seen["partial liquidations"] > 100
    assert min(seen[f"liquidated {mode}"] for mode in ("isolated", "cross", "portfolio")) > 20, seen
    assert seen["ruin"] > 20
    for reason in (*REFUSALS, "loan called", "none"):
        assert seen[reason] > 20, (reason, seen)


def test_kernel_and_reference_agree_where_the_purse_is_empty():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES // 2, **EVERYTHING)
    @given(SEEDS, SEVERAL, poor_settings())
    def check(seed, symbols, chosen):
        walk_paths(wild_market(seed, symbols, PATHS), chosen, seed, seen, draw=full_targets)

    check()
    assert seen["not enough funds"] > 500, seen
    assert seen["steps"] > 2_000


def test_kernel_and_reference_agree_where_impact_stays_behind():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES // 2, **EVERYTHING)
    @given(SEEDS, SYMBOLS, remembering_settings())
    def check(seed, symbols, chosen):
        walk_paths(wild_market(seed, symbols, PATHS), chosen, seed, seen)

    check()
    assert seen["steps"] > 2_500, seen
    assert min(seen[f"liquidated {mode}"] for mode in ("isolated", "cross", "portfolio")) > 20, seen
    for what in ("impact got back", "not enough funds", "participation"):
        assert seen[what] > 100, (what, seen)


def test_kernel_and_reference_agree_where_crashes_are_dear():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES // 4, **EVERYTHING)
    @given(SEEDS, SYMBOLS, crashing_settings())
    def check(seed, symbols, chosen):
        walk_paths(wild_market(seed, symbols, PATHS), chosen, seed, seen)

    check()
    assert seen["steps"] > 1_000, seen
    assert seen["liquidations"] > 50, seen


def test_kernel_and_reference_agree_where_coins_are_listed_and_delisted():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES // 2, **EVERYTHING)
    @given(SEEDS, SEVERAL, settings())
    def check(seed, symbols, chosen):
        walk_paths(wild_market(seed, symbols, PATHS, listings=True), chosen, seed, seen)

    check()
    assert seen["delisted"] > 50, seen
    assert seen["not listed"] > 200, seen


REAL: dict[str, Any] = {
    "venue": "binance",
    "initial_equity": 100_000.0,
    "perp_fee": None,
    "spot_fee": None,
    "quote_borrow_rate": None,
    "base_borrow_rate": None,
    "cash_rate": 0.045,
    "keeper_interval": "1h",
    "rebalance_band": 0.02,
    "max_participation": 0.1,
    "max_leverage": MAX_LEVERAGE,
}


@pytest.fixture(scope="module")
def real() -> Market:
    if "FUNDENV_DATA" not in os.environ:
        pytest.skip("FUNDENV_DATA is unset: no real market data")
    return load_market(os.environ["FUNDENV_DATA"], ["BTCUSDT", "ETHUSDT"])


@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
@pytest.mark.parametrize("decision", ["1h", "8h"])
@pytest.mark.parametrize("assets", [1, 2])
def test_kernel_and_reference_agree_on_real_markets(real, assets, decision, margin_mode):
    market = real if assets == 1 else joint(real, ["BTCUSDT", "ETHUSDT"], common=True)
    chosen = REAL | {"margin_mode": margin_mode, "decision_interval": decision}
    env, rng, seen = make_env(market, **chosen), np.random.default_rng(1), Counter[str]()
    for _ in range(30):
        path = int(rng.choice(np.flatnonzero(np.diff(market.paths)[:, 0] > 500)))
        first, end = market.paths[path]
        walk(env, market, chosen, path, int(rng.integers(end - first - 300)), rng, 30, seen)
    assert seen["steps"] > 600
    # whose hedged legs outlive these markets
    assert seen["liquidations"] > 0 or decision == "1h" or margin_mode == "portfolio"
