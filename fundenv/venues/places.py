"""Where the legs of an asset trade, and whose rules hold for it.

The name of an asset says it: BTCUSDT trades on the venue of the account, hyperliquid:BTC on another
one, and hyperliquid:BTC@binance:BTCUSDT is the perpetual of one venue beside the spot of another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fundenv.settings import nearest
from fundenv.venues.load import Venue, load_venue, venue_names
from fundenv.venues.schema import VenueError

_PLACE = r"(?:([^:@]+):)?([^:@]+)"
_ASSET = re.compile(rf"{_PLACE}(?:@{_PLACE})?")
_SEVERAL = "+"  # between the names of a market's venues


class Place(NamedTuple):
    """A contract or pair on a venue; `venue` is empty for that of the account."""

    venue: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.venue}:{self.symbol}" if self.venue else self.symbol


class Legs(NamedTuple):
    """Where perpetual and spot of an asset trade."""

    perp: Place
    spot: Place


def legs_of(asset: str) -> Legs:
    """The two places in the name of an asset. Raises `VenueError` for a name that is none."""
    match = _ASSET.fullmatch(asset)
    if match is None:
        raise VenueError(
            f"asset {asset!r}: expected SYMBOL, VENUE:SYMBOL or VENUE:SYMBOL@VENUE:SYMBOL, the"
            " perpetual before the @ and the spot behind it"
        )
    venue, symbol, other, pair = match.groups()
    perp = Place(venue or "", symbol)
    return Legs(perp, Place(other or "", pair) if pair else perp)


def is_placed(asset: str) -> bool:
    """Whether a name says where the asset trades."""
    return ":" in asset or "@" in asset


class Rulebook:
    """The venues of an account: its own, and those that the names of its assets say.

    account: the venue of assets whose names say none. others: venues of your own files; a name that
    is none of theirs is one of the package's.
    """

    def __init__(self, account: Venue, others: Sequence[Venue] = ()) -> None:
        self.account = account
        self._known: dict[str, Venue] = {}
        for venue in (*others, account):
            if venue.name in self._known and self._known[venue.name] != venue:
                raise VenueError(
                    f"venues: {self._known[venue.name].path} and {venue.path} are both called"
                    f" {venue.name!r}; rename one of them (name = '..')"
                )
            self._known[venue.name] = venue

    @classmethod
    def read(
        cls, account: str | Path | Venue, others: Sequence[str | Path | Venue] = ()
    ) -> Rulebook:
        """The rulebook of names, paths of TOML files or `Venue`s; `account` may be several names
        with + between them, as `Market.venue` has them.
        """
        text = account if isinstance(account, str) else ""
        if _SEVERAL in text and not text.endswith(".toml") and "/" not in text:
            account, *rest = text.split(_SEVERAL)
            others = (*others, *rest)
        loaded = [v if isinstance(v, Venue) else load_venue(v) for v in (account, *others)]
        return cls(loaded[0], loaded[1:])

    def venue(self, place: Place) -> Venue:
        """The venue of a place. Raises `VenueError` for one that there is not."""
        if not place.venue:
            return self.account
        if place.venue not in self._known:
            known = (*self._known, *venue_names())
            if place.venue not in known:
                raise VenueError(
                    f"asset {str(place)!r}: unknown venue {place.venue!r};"
                    f" {nearest(place.venue, dict.fromkeys(known))}; give the TOML of your own in"
                    " the setting venues"
                )
            self._known[place.venue] = load_venue(place.venue)
        return self._known[place.venue]

    def perp(self, asset: str) -> tuple[Venue, str]:
        """Venue and symbol of the perpetual of an asset."""
        place = legs_of(asset).perp
        return self.venue(place), place.symbol

    def spot(self, asset: str) -> tuple[Venue, str]:
        """Venue and symbol of the spot of an asset."""
        place = legs_of(asset).spot
        return self.venue(place), place.symbol

    def title(self, assets: Sequence[str]) -> str:
        """The names of the venues of some assets, that of the account first where it is one, with +
        between them.
        """
        used = dict.fromkeys(self.venue(place).name for asset in assets for place in legs_of(asset))
        own = [self.account.name] if self.account.name in used or not used else []
        return _SEVERAL.join(dict.fromkeys((*own, *used)))
