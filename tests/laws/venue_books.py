"""A walk under the rules of a venue of the package, with every cost that it states."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np

from fundenv.venues import UnsourcedValue, load_venue, venue_names
from tests.laws.test_reference import walk
from tests.laws.wild import tame_targets
from tests.markets import wild_market
from tests.oracle.linear import ReferenceAccount


def venues_of(contract: str) -> list[str]:
    """The venues of the package whose contracts are "linear" or "inverse"."""
    return [name for name in venue_names() if load_venue(name).contract == contract]


def check_books_of(
    name: str,
    margin_mode: str,
    symbol: str,
    make: Any,
    account: Any = ReferenceAccount,
    **more: Any,
) -> None:
    """`walk` 40 steps with `symbol` in the env that `make` gives, with `more` settings."""
    settings = {
        "venue": name,
        "margin_mode": margin_mode,
        "perp_fee": None,
        "spot_fee": None,
        "keeper_interval": "1h",
    } | more
    seen: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsourcedValue)
        market, rng = wild_market(3, (symbol,), 2), np.random.default_rng(0)
        env = make(market, **settings)
        walk(env, market, settings, 1, 0, rng, 40, seen, tame_targets, account)
    assert seen["steps"] > 0
