"""All sources together, in the order of requests, and the clock that counts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fundenv.market.download.binance import FILES as BINANCE_FILES
from fundenv.market.download.binance import LISTING, BinanceArchive
from fundenv.market.download.bybit import FILES as BYBIT_FILES
from fundenv.market.download.bybit import BybitArchive
from fundenv.market.download.exchange import APIS
from fundenv.market.download.http import Http, Policy
from fundenv.market.download.rest import Rest
from fundenv.market.download.series import DownloadError, Source
from fundenv.market.download.store import within

NAMES = ("archives", "rest")


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """Addresses that replace those of the venues; empty: the venue's."""

    binance: str = ""
    """In place of https://data.binance.vision"""
    binance_listing: str = ""
    """In place of the bucket listing of that archive; "none": no listing, every file name is
    tried.
    """
    bybit: str = ""
    """In place of https://public.bybit.com"""
    rest: str = ""
    """Scheme and host in place of those of every REST interface."""


@dataclass(eq=False)
class Sources:
    """The sources of a data folder and what they share. A new source is one file and one line
    here.
    """

    root: Path
    policy: Policy = field(default_factory=Policy)
    mirrors: Mirrors = field(default_factory=Mirrors)
    names: Sequence[str] = NAMES

    def __post_init__(self) -> None:
        unknown = [name for name in self.names if name not in NAMES]
        if unknown or not self.names:
            raise DownloadError(
                f"sources {', '.join(unknown) or 'none'}: expected some of {', '.join(NAMES)}"
            )
        self.http = Http(self.policy)
        self.rest = Rest(self.policy, self.mirrors.rest)

    def all(self) -> list[Source]:
        """Archives by month, by day, then the exchanges' interfaces."""
        scratch, at = within(self.root, self.root / ".downloading"), self.mirrors
        binance, bybit = at.binance or BINANCE_FILES, at.bybit or BYBIT_FILES
        listing = "" if at.binance_listing == "none" else at.binance_listing or LISTING
        archives: list[Source] = [
            BinanceArchive(self.http, scratch, "monthly", files=binance, listing=listing),
            BinanceArchive(self.http, scratch, "daily", files=binance, listing=listing),
            BybitArchive(self.http, scratch, files=bybit),
        ]
        return [
            *(archives if "archives" in self.names else ()),
            *([self.rest] if "rest" in self.names else ()),
        ]

    def clock_ms(self, venue: str) -> tuple[int, str]:
        """The time now: the earlier of the exchange's clock, if it sends one, and this machine's;
        and a sentence where they differ by more than a minute.
        """
        here = int(time.time() * 1000)
        there = None
        if "rest" in self.names and venue in APIS:
            try:
                there = self.rest.exchange(venue).clock_ms()
            except DownloadError:
                there = None  # not reachable: the same error is reported when data are requested
        if there is None and "archives" in self.names:
            there = self._archive_clock_ms(venue)
        if there is None or abs(there - here) <= 60_000:
            return min(here, there or here), ""
        ahead = (here - there) / 60_000
        which = (
            f"this machine's clock is {abs(ahead):.0f} min {'ahead of' if ahead > 0 else 'behind'}"
            f" {venue}'s"
        )
        return (
            min(here, there),
            (
                f"{which}; bars that had not closed by the earlier one are left for later; set the"
                " clock"
            ),
        )

    def _archive_clock_ms(self, venue: str) -> int | None:
        """The date in an answer of the archive's server; None without an archive or a date."""
        address = {
            "binance": self.mirrors.binance or BINANCE_FILES,
            "bybit": self.mirrors.bybit or BYBIT_FILES,
        }.get(venue)
        if address:
            with contextlib.suppress(DownloadError):  # an error page has the time as well
                self.http.text(address)
        return None if self.http.skew_ms is None else int(time.time() * 1000) + self.http.skew_ms
