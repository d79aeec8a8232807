"""The venues besides Binance, by their names."""

from __future__ import annotations

from tests.market.download.answers.base import Venue
from tests.market.download.answers.bybit import Bybit
from tests.market.download.answers.deribit import Deribit
from tests.market.download.answers.dydx import Dydx
from tests.market.download.answers.hyperliquid import Hyperliquid
from tests.market.download.answers.kraken import Kraken
from tests.market.download.answers.okx import Okx

OTHERS: dict[str, type[Venue]] = {
    "bybit": Bybit,
    "okx": Okx,
    "deribit": Deribit,
    "hyperliquid": Hyperliquid,
    "dydx": Dydx,
    "kraken": Kraken,
}
