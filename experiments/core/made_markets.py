"""Markets to train on instead of the recorded one, and recorded ones under stress: what
`--train-on` and `--stress` ask for.
"""

from __future__ import annotations

from typing import Literal

import pandas as pd

from experiments.core.run_folder import RunError
from fundenv.market import (
    Market,
    bootstrap_market,
    fail_venue,
    select,
    splice,
    stack,
    synthetic_market,
)
from fundenv.market.files.frames import contract_of
from fundenv.market.synthetic.coins import PRESETS
from fundenv.venues import is_placed, legs_of

TrainOn = Literal["history", "generator", "bootstrap"]
_YEARS = 1.0  # of each path that is made


def preset_of(symbol: str) -> str:
    """The generator's kind of coin for a symbol: by the beginning of its name, any other is an
    alt.
    """
    name = legs_of(contract_of(symbol)).perp.symbol.upper()
    return next((kind for kind in PRESETS if name.startswith(kind.upper())), "alt")


def training_market(history: Market, kind: TrainOn, paths: int, venue: str) -> Market:
    """The history itself, or `paths` synthetic years of each of its symbols (of all its symbols
    together, where they share a path).
    """
    if kind == "history":
        return history
    if paths < 1:
        raise RunError(f"--made-paths {paths}: expected at least 1")
    names = list(dict.fromkeys(history.symbols))
    if kind == "bootstrap":
        return stack(
            [
                bootstrap_market(_one(history, path), years=_YEARS, paths=paths, venue=venue)
                for path in names
            ]
        )
    placed = sorted({name for path in names for name in path if is_placed(name)})
    if placed:
        raise RunError(
            f"--train-on generator makes coins of one venue, and {placed[0]} names its own; use"
            " --train-on bootstrap, which resamples all venues together"
        )
    kinds = dict.fromkeys(tuple(preset_of(name) for name in path) for path in names)
    return stack(
        [synthetic_market(presets, years=_YEARS, paths=paths, venue=venue) for presets in kinds]
    )


def stressed(market: Market, shocks: tuple[str, ...]) -> Market:
    """The market with each shock on every path, at a place drawn for each."""
    for number, shock in enumerate(shocks):
        market = splice(market, shock, seed=number)
    return market


def failing(market: Market, failures: tuple[str, ...]) -> Market:
    """The market with failures of venues, VENUE=NAME@TIME each."""
    for text in failures:
        venue, sign, rest = text.partition("=")
        name, at, when = rest.partition("@")
        if not (venue and sign and name and at and when):
            raise RunError(
                f"--fail {text}: expected VENUE=NAME@TIME, e.g. hyperliquid=ftx@2024-05-10"
            )
        try:
            instant = pd.Timestamp(when)
        except ValueError:
            raise RunError(f"--fail {text}: {when!r} is no instant such as 2024-05-10") from None
        market = fail_venue(market, venue, instant, name)
    return market


def _one(history: Market, symbols: tuple[str, ...]) -> Market:
    """The paths of one symbol, or of one set side by side."""
    return select(history, list(symbols)) if history.n_assets == 1 else history
