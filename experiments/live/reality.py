"""The assumptions of a paper account beside later quotes of the venue: fills, books, rates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fundenv.dynamics import types as t
from fundenv.live import Paper, Quote
from fundenv.live.account import Step

LATE_MS = 10 * 60_000  # after the close; the market has changed for a later decision
_MINUTE_MS = 60_000
_LEGS = {
    "spot": (t.FILLED_SPOT, t.SPOT_VALUE, t.SPOT_QUANTITY),
    "perp": (t.FILLED_PERP, t.PERP_VALUE, t.PERP_QUANTITY),
}
FILLS = (
    "decision close account symbol leg side value filled assumed shown extra_bp size_bp seconds"
).split()
BOOKS = "decision close symbol leg assumed_bp shown_bp extra_bp".split()
RATES = "decision close symbol due expected last settled".split()


def quotes_of(paper: Paper) -> dict[tuple[int, str], Quote]:
    """The venue's quotes after the decisions: (decision, symbol) -> quote."""
    found = {}
    for record in paper.quotes:
        told = record["quote"]
        quote = Quote(**told | {"problems": tuple(told["problems"])})
        found[int(record["number"]), quote.symbol] = quote
    return found


def fills(paper: Paper) -> pd.DataFrame:
    """A row for each leg that a decision traded, with columns `FILLS`.

    filled: average price of the fill in the account. assumed: the open with the half-spread of the
    venue's file alone. shown: the best ask for a purchase, the best bid for a sale, when the book
    was requested. extra_bp: how much worse `shown` was than `assumed`, of the price; positive:
    reality costs more. size_bp: what the account paid beyond `assumed`, for its size and in stress;
    a best price does not include this. seconds: from the decision to the book. value: quote traded.
    Decisions made more than `LATE_MS` after their close are left out, and steps with a liquidation.
    """
    quotes, rows = quotes_of(paper), []
    opens = {key: _opens(paper, *key) for key in paper.tables.rows if key[1] in _LEGS}
    for number, step in enumerate(paper.account.steps):
        decision = paper.account.decisions[number]
        if decision["heard"] - decision["close"] > LATE_MS:
            continue
        for account, coin, symbol in _places(paper, step):
            quote = quotes.get((number, symbol))
            if quote is None or step.liquidations[account]:
                continue
            for leg in _LEGS:
                half = paper.plan.venue.value("execution", f"half_spread_{leg}_bp", symbol)
                price = opens[symbol, leg].get(decision["close"])
                row = _fill(step.trades[account, coin], leg, quote, price, half / 1e4)
                if row is not None:
                    seconds = (quote.at - decision["at"]) / 1000.0
                    own = {"decision": number, "close": decision["close"], "account": account}
                    rows.append(own | {"symbol": symbol, "leg": leg, "seconds": seconds} | row)
    return pd.DataFrame(rows, columns=FILLS)


def books(paper: Paper) -> pd.DataFrame:
    """The half-spread of each book beside that of the venue's file, with columns `BOOKS`."""
    rows = []
    for (number, symbol), quote in quotes_of(paper).items():
        for leg, bid, ask in (
            ("perp", quote.bid, quote.ask),
            ("spot", quote.spot_bid, quote.spot_ask),
        ):
            if bid is None or ask is None:
                continue
            assumed = paper.plan.venue.value("execution", f"half_spread_{leg}_bp", symbol)
            shown = 1e4 * (ask - bid) / (ask + bid)
            close = paper.account.decisions[number]["close"]
            rows.append((number, close, symbol, leg, assumed, shown, shown - assumed))
    return pd.DataFrame(rows, columns=BOOKS)


def rates(paper: Paper) -> pd.DataFrame:
    """The venue's estimate at each decision beside the rate that settled, bp per interval, with
    columns `RATES`; last: the rate that had settled before. Settlements that are not sealed are
    left out.
    """
    settled = {symbol: _settled(paper, symbol) for symbol in paper.tables.symbols}
    rows = []
    for (number, symbol), quote in quotes_of(paper).items():
        known = settled[symbol]
        if quote.rate is None or quote.next is None or _minute(quote.next) not in known:
            continue
        due = _minute(quote.next)
        before = [rate for time, rate in known.items() if time < due]
        if before:
            close = paper.account.decisions[number]["close"]
            rows.append((number, close, symbol, due, 1e4 * quote.rate, before[-1], known[due]))
    return pd.DataFrame(rows, columns=RATES)


def _places(paper: Paper, step: Step) -> list[tuple[int, int, str]]:
    """(account, coin, symbol) of every leg of a step."""
    symbols = paper.plan.symbols
    if paper.plan.shared:
        return [(0, k, symbol) for k, symbol in enumerate(symbols)]
    return [(k, 0, symbol) for k, symbol in enumerate(symbols) if k < len(step.equity)]


def _fill(
    trade: Any, leg: str, quote: Quote, price: float | None, half: float
) -> dict[str, float] | None:
    filled, value, quantity = (float(trade[column]) for column in _LEGS[leg])
    if price is None or quantity <= 0.0 or not np.isclose(abs(filled), quantity):
        return None  # no order, or orders in both directions
    side = float(np.sign(filled))
    book = {
        ("perp", 1.0): quote.ask,
        ("perp", -1.0): quote.bid,
        ("spot", 1.0): quote.spot_ask,
        ("spot", -1.0): quote.spot_bid,
    }
    shown = book[leg, side]
    if shown is None:
        return None
    assumed = price * (1.0 + side * half)
    return {
        "side": side,
        "value": value,
        "filled": value / quantity,
        "assumed": assumed,
        "shown": shown,
        "extra_bp": 1e4 * side * (shown / assumed - 1.0),
        "size_bp": 1e4 * side * (value / quantity / assumed - 1.0),
    }


def _opens(paper: Paper, symbol: str, leg: str) -> dict[int, float]:
    """Open (ms) -> price of every sealed bar."""
    table = paper.tables.rows[symbol, leg].sealed_table()
    times = table["time"].astype("int64").to_numpy() // 1_000_000
    return dict(zip(times.tolist(), table["open"].tolist(), strict=True))


def _settled(paper: Paper, symbol: str) -> dict[int, float]:
    table = paper.tables.rows[symbol, "funding"].sealed_table()
    times = table["time"].astype("int64").to_numpy() // 1_000_000
    pairs = zip(times.tolist(), table["rate"].tolist(), strict=True)
    return {_minute(int(time)): 1e4 * float(rate) for time, rate in pairs}


def _minute(time: int) -> int:
    return round(time / _MINUTE_MS) * _MINUTE_MS
