"""A venue file of today from the exchange's own public answer: maintenance brackets, lots, smallest
order values, and fees where the interface has them.

The file extends a shipped venue file and holds only numbers of the exchange's answer, each with its
source and day.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from fundenv.market.download.exchange import APIS, Exchange
from fundenv.market.download.http import needed
from fundenv.market.download.rest import Rest
from fundenv.market.download.series import DownloadError
from fundenv.market.download.store import write_whole
from fundenv.venues import load_venue

# Venues of which ccxt returns the fees of the interface; for others its fees are its own constants
# and not an answer of the exchange.
_TOLD_FEES = {"deribit": ("taker_commission", "maker_commission")}
_IN_CONTRACTS = ("okx",)  # venues whose brackets count contracts


def write_tiers(
    rest: Rest, venue: str, symbols: tuple[str, ...], folder: Path, day: dt.date
) -> tuple[Path, list[str]]:
    """Request the rules of `symbols`, write `{venue}_{day}.toml` and read it back. Returns its path
    and a line for each number that is missing.

    Raises `DownloadError` where the answers hold none of these numbers, `VenueError` where a number
    is not allowed in a venue file.
    """
    perp = rest.exchange(venue)
    spot = rest.exchange(venue, spot=True) if APIS[venue].spot else None
    notes: list[str] = []
    document: dict[str, Any] = {
        "extends": venue,
        "title": f"{load_venue(venue).title}, as answered on {day}",
    }
    execution: dict[str, dict[str, Any]] = {}
    tiers: dict[str, Any] = {}
    for symbol in symbols:
        market = perp.market(symbol)
        size = float(market["contractSize"] or 1.0)
        _lots(execution, "perp", symbol, market, size, _source(perp, "markets", day))
        if spot is not None:
            pair = _spot_market(spot, market, symbol, notes)
            if pair:
                _lots(execution, "spot", symbol, pair, 1.0, _source(spot, "markets", day))
        try:
            rows = _brackets(perp, market, size)
            tiers[symbol] = [
                {
                    "valid_from": day,
                    "source": _source(perp, "leverage tiers", day)["source"],
                    "brackets": rows,
                }
            ]
        except DownloadError as error:
            notes.append(f"{symbol}: brackets stay those of {venue}.toml: {error}")
        if venue in _TOLD_FEES and "fees" not in document:
            document["fees"] = _fees(perp, market, venue, day)
    document |= {
        name: table for name, table in (("execution", execution), ("tiers", tiers)) if table
    }
    if not execution and not tiers and "fees" not in document:
        raise DownloadError(f"{venue}: nothing of use in its answers ({'; '.join(notes)})")
    path = folder / f"{venue}_{day}.toml"
    folder.mkdir(parents=True, exist_ok=True)
    text = needed("tomli_w").dumps(document)

    def checked(partial: Path) -> None:
        partial.write_text(text, encoding="utf-8")
        load_venue(partial)

    write_whole(path, checked)
    return path, notes


def _spot_market(
    spot: Exchange, perp: dict[str, Any], symbol: str, notes: list[str]
) -> dict[str, Any] | None:
    try:
        return spot.market(f"{perp['base']}{perp['quote']}")
    except DownloadError as error:
        notes.append(f"{symbol}: spot lots stay those of the shipped file: {error}")
        return None


def _source(exchange: Exchange, what: str, day: dt.date) -> dict[str, Any]:
    return {"source": f"{exchange.client().id} {what}, asked through ccxt", "date": str(day)}


def _lots(
    execution: dict[str, dict[str, Any]],
    leg: str,
    symbol: str,
    market: dict[str, Any],
    size: float,
    source: dict[str, Any],
) -> None:
    """Step of an order in base units, and its smallest value in quote, as far as the market record
    has them.
    """
    step = market["precision"]["amount"]
    least = (market["limits"].get("cost") or {}).get("min")
    if step:
        execution.setdefault(f"lot_{leg}", {})[symbol] = {"value": float(step) * size} | source
    if least is not None:
        execution.setdefault(f"min_notional_{leg}", {})[symbol] = {"value": float(least)} | source


def _brackets(perp: Exchange, market: dict[str, Any], size: float) -> list[list[float]]:
    """Rows (floor in quote, largest leverage, maintenance rate) with ascending floors; neighbours
    with the same rate are joined.
    """
    if (
        perp.can("fetchMarketLeverageTiers")
        and perp.client().has["fetchMarketLeverageTiers"] != "emulated"
    ):
        tiers = perp.call("fetch_market_leverage_tiers", market["symbol"])
    elif perp.can("fetchLeverageTiers"):
        tiers = perp.call("fetch_leverage_tiers", [market["symbol"]]).get(market["symbol"], [])
    else:
        raise DownloadError(f"ccxt has no brackets of {perp.venue}")
    unit = (
        size * float(perp.call("fetch_ticker", market["symbol"])["last"])
        if perp.venue in _IN_CONTRACTS
        else 1.0
    )
    try:
        rows = sorted(
            [
                float(t["minNotional"]) * unit,
                float(t["maxLeverage"]),
                float(t["maintenanceMarginRate"]),
            ]
            for t in tiers
        )
    except (TypeError, KeyError, ValueError) as error:
        raise DownloadError(
            f"{perp.venue}: brackets of another form than documented ({error})"
        ) from None
    if not rows:
        raise DownloadError(f"{perp.venue}: no brackets of {market['symbol']} in its answer")
    return [row for i, row in enumerate(rows) if i == 0 or row[2] > rows[i - 1][2]]


def _fees(perp: Exchange, market: dict[str, Any], venue: str, day: dt.date) -> dict[str, Any]:
    info = market["info"]
    names = zip(("perp_taker", "perp_maker"), _TOLD_FEES[venue], strict=True)
    return {
        name: {"value": float(info[key])} | _source(perp, f"{key} of {market['id']}", day)
        for name, key in names
        if key in info
    }
