"""The venues of an account, as a rule needs them: which exist, and which assets are one coin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.params import AgentError
from fundenv.market.files.frames import contract_of
from fundenv.market.plausibility.across import coin_of
from fundenv.venues import Venue, legs_of


def venues_of(batch: Any, leg: str) -> list[Venue]:
    """The venues, each once, on which the leg "perp" or "spot" of the assets trades."""
    find = batch.rulebook.perp if leg == "perp" else batch.rulebook.spot
    names = [contract_of(name) for path in batch.market.symbols for name in path]
    return list({venue.path: venue for venue, _ in map(find, names)}.values())


def coins_of(batch: Any, owner: str, least: int = 1) -> list[NDArray[np.int64]]:
    """The assets of each coin, as indices. Raises `AgentError` where the paths of the market hold
    different coins, or a coin has fewer than `least` perpetuals.
    """
    found = {
        tuple(coin_of(legs_of(contract_of(name)).perp) for name in path)
        for path in batch.market.symbols
    }
    if len(found) > 1:
        raise AgentError(
            f"agent {owner}: the paths of the market hold different coins; give an account whose"
            " paths hold the same ones (--joint)"
        )
    (coins,) = found
    groups = [np.flatnonzero([other == coin for other in coins]) for coin in dict.fromkeys(coins)]
    for group, coin in zip(groups, dict.fromkeys(coins), strict=True):
        if len(group) < least:
            raise AgentError(
                f"agent {owner} needs {least} perpetuals of every coin in one account, and {coin}"
                f" has {len(group)}; add another venue to --symbols, and --joint (docs: Hold one"
                " coin on several venues)"
            )
    return groups


def any_of(flags: NDArray[np.bool_], coins: list[NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Whether a flag of an asset (n, A) is set for any asset of each coin (n, coins)."""
    return np.stack([flags[:, coin].any(axis=1) for coin in coins], axis=1)
