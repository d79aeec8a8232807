"""The kernel against `tests/oracle/venues.py`, an account on several venues that was written from
the specification alone, without a look at the kernel or at the other slow account.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.laws.play import action, as_float32, frictionless, make_env
from tests.laws.test_reference import EVERYTHING
from tests.laws.wild import SEEDS, crashing_settings, failing_settings, targets
from tests.markets import wild_market
from tests.oracle.venues import VenueAccount

EXAMPLES, PATHS, STEPS = 380, 4, 40
# two venues with two or three coins, each on a clock of its own
PLACED = st.sampled_from(
    [
        ("FINE", "tiered:FINE@plain:FINE"),
        ("COSTLY", "twofold:COSTLY"),
        ("FINE", "entry:COSTLY@plain:FINE", "entry:PLAIN"),
        ("fifths:COSTLY@plain:COSTLY", "FINE", "fifths:PLAIN@plain:PLAIN"),
        ("tiered:FINE", "entry:FINE@tiered:FINE", "tiered:COSTLY"),
    ]
)
LEFT_OUT: dict[str, Any] = {
    "margin_mode": "isolated",
    "margin_level": 0.0,
    "base_supply": 0.0,
    "quote_supply": 0.0,
    "adl_sigma": 0.0,
    "keeper_watches": "wallet",
}


def compare(info: dict[str, Any], told: dict[str, Any], scale: float) -> str:
    """The first number that differs by more than 1e-9 of the account's size; empty for none."""
    account = info["account"]
    pairs: list[tuple[str, Any, Any]] = [
        ("equity", info["equity"], told["equity"]),
        ("cash", account["cash"], told["cash"]),
        *((part, info["parts"][part], told["parts"][part]) for part in told["parts"]),
        *((name, account[name], told[name]) for name in ("margin", "sent")),
    ]
    mark = np.asarray(info["prices"]["mark"])
    for name, price in (("spot", np.asarray(info["prices"]["spot"])), ("perp", mark)):
        pairs.append((name, account[name] * price, told[name] * price))
    pairs.append(("entry", account["entry"] / mark, told["entry"] / mark * 1.0))
    for name, got, expected in pairs:
        size = 1.0 if name == "entry" else scale
        if not np.allclose(got, expected, rtol=0.0, atol=1e-9 * size):
            return f"{name}: {got} in the kernel, {expected} by hand"
    for name in ("liquidated", "terminated", "truncated"):
        if not np.array_equal(info[name], told[name]):
            return f"{name}: {info[name]} in the kernel, {told[name]} by hand"
    return ""


def test_the_kernel_agrees_with_an_account_by_another_hand():
    seen: Counter[str] = Counter()

    @hypothesis_settings(max_examples=EXAMPLES, **EVERYTHING)
    @given(SEEDS, PLACED, crashing_settings(failing_settings), st.booleans())
    def check(seed, assets, chosen, fails):
        market = wild_market(seed, assets, PATHS, failures=fails, listings=not fails)
        chosen = chosen | LEFT_OUT
        env, rng = make_env(market, **chosen), np.random.default_rng(seed)
        for path in range(PATHS):
            walk(env, market, chosen, path, rng, seen)

    check()
    assert seen["steps"] > 20_000, seen
    assert seen["money under way"] > 2_000, seen
    assert seen["liquidations"] > 1_000, seen
    assert seen["the venue failed"] > 50, seen
    assert seen["not enough funds"] > 2_000, seen
    assert seen["delisted"] > 100, seen


def walk(
    env: Any,
    market: Any,
    chosen: dict[str, Any],
    path: int,
    rng: np.random.Generator,
    seen: Counter[str],
) -> None:
    config, start = frictionless(**chosen), int(rng.integers(0, 20))
    account = VenueAccount(market, config, path, start)
    env.reset(options={"path": path, "start": start})
    scale = config.initial_equity
    for number in range(STEPS):
        move = [as_float32(t) for t in targets(rng, market.n_assets)]
        _, _, terminated, truncated, info = env.step(action(move))
        told = account.step(move)
        value = np.abs(told["perp"] * np.asarray(info["prices"]["mark"]))
        scale = max(scale, abs(told["equity"]), *value)
        wrong = compare(
            dict(info) | {"terminated": terminated, "truncated": truncated}, told, scale
        )
        assert not wrong, f"path {path}, step {number}, {market.symbols[path]}, {wrong}"
        seen["steps"] += 1
        seen["money under way"] += bool(told["sent"].any())
        seen["liquidations"] += int(told["liquidated"].sum())
        seen.update(info["trade"]["reason"])
        if terminated or truncated:
            break
