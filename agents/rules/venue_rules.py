"""The venues of an account, as a rule needs them."""

from __future__ import annotations

from typing import Any

from fundenv.market.files.frames import contract_of
from fundenv.venues import Venue


def venues_of(batch: Any, leg: str) -> list[Venue]:
    """The venues, each once, on which the leg "perp" or "spot" of the assets trades."""
    find = batch.rulebook.perp if leg == "perp" else batch.rulebook.spot
    names = [contract_of(name) for path in batch.market.symbols for name in path]
    return list({venue.path: venue for venue, _ in map(find, names)}.values())
