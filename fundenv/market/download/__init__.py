"""Real data: fetch, verify and keep current the tables that `fundenv.market.load_market` reads.
Needs the extra `download`.

from fundenv.market.download import Series, Sources, Store, Updater

sources = Sources(Path("data/raw"))
updater = Updater(Store(Path("data/raw")), sources.all())
updater.update(Series(venue="binance", symbol="BTCUSDT", kind="perp", step="1h"), "2020-01")
"""

from fundenv.market.download.audit import Finding, Status, findings, status
from fundenv.market.download.http import Http, Policy
from fundenv.market.download.rest import Rest
from fundenv.market.download.series import (
    KINDS,
    DownloadError,
    Missing,
    Piece,
    Series,
    Source,
    Span,
)
from fundenv.market.download.sources import Mirrors, Sources
from fundenv.market.download.store import Part, Store
from fundenv.market.download.tiers import write_tiers
from fundenv.market.download.update import Outcome, Updater

__all__ = [
    "KINDS",
    "DownloadError",
    "Finding",
    "Http",
    "Mirrors",
    "Missing",
    "Outcome",
    "Part",
    "Piece",
    "Policy",
    "Rest",
    "Series",
    "Source",
    "Sources",
    "Span",
    "Status",
    "Store",
    "Updater",
    "findings",
    "status",
    "write_tiers",
]
