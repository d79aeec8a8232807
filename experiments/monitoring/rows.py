"""The figures that the monitor computes from quotes and settled rates: one row for each perpetual,
and the return of a carry there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Annotated, ClassVar, NamedTuple

from experiments.core.run_folder import RunError
from experiments.monitoring.history import History
from fundenv.live import Quote
from fundenv.settings import Range, Settings
from fundenv.venues import Venue, load_venue

YEAR_8H = 3 * 365.0  # 8 h intervals in a year
YEAR_DAYS = 365.0


class Key(NamedTuple):
    """A perpetual of a venue."""

    venue: str
    symbol: str


class Row(NamedTuple):
    """The present values of one perpetual; None where unknown. bp are per 8 h of the notional.

    settled: last rate. predicted: the venue's running estimate of the next rate. annual: the
    predicted rate over a year, % without compounding. z: see `History.z`. week: mean settled rate
    of the last week. seconds: time to the next settlement. interval: hours. basis: perpetual over
    spot, mid prices of the books, bp of the spot price; mark over index where there is no spot
    book. open_interest: in quote. above: predicted rate less the lowest one of the coin at any
    venue that answers. cap: predicted rate over the venue's largest rate. changed: hours of the
    settlement interval before and now, where they differ. age: seconds since the venue answered.
    stale: whether the answer, or the settlement that it announced, is too long ago.
    """

    key: Key
    base: str
    settled: float | None
    predicted: float | None
    annual: float | None
    z: float | None
    week: float | None
    seconds: float | None
    interval: float | None
    basis: float | None
    open_interest: float | None
    above: float | None
    cap: float | None
    changed: tuple[float, float] | None
    age: float
    stale: bool
    quote: Quote


@dataclass(frozen=True, kw_only=True)
class Carrying(Settings):
    """Assumptions on a carry."""

    error: ClassVar[type[ValueError]] = RunError
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over the wallet of the perpetual."""
    cash_rate: Annotated[float, Range(0, 1, "a year")] = 0.045
    """Interest that the capital would earn as cash."""
    hold: Annotated[float, Range(0.1, 3650, "days")] = 7.0
    """Days over which the cost of a round trip is spread."""


class Carry(NamedTuple):
    """A hedged position; % a year of the capital. gross: funding received, at the predicted rates.
    costs: fees and half-spreads of a round trip, spread over `hold`, and the coin loan of a reverse
    carry. cash: interest that the capital forgoes. net: gross less costs and cash; week: net at the
    mean rates of the last week.
    """

    base: str
    long: str
    short: str
    gross: float
    costs: float
    cash: float
    net: float
    week: float | None


@cache
def _rules(venue: str) -> Venue:
    return load_venue(venue)


def row_of(
    key: Key,
    quote: Quote,
    history: History,
    *,
    now: int,
    age: float,
    patience: float,
    since: int | None = None,
) -> Row:
    """The row of one perpetual. now: the venue's time, ms. age, patience: seconds. since: the last
    settlement, ms, whose rate the venue may not have sent yet; by default the last of `history`.
    """
    _, rates = history.per_8h()
    since = history.last if since is None else since
    interval = _interval(quote, since)
    predicted = None if quote.rate is None or not interval else quote.rate * 8e4 / interval
    cap = _rules(key.venue).value("funding", "cap", key.symbol)
    return Row(
        key,
        quote.base,
        float(rates[-1]) if len(rates) > 1 else None,
        predicted,
        None if predicted is None else predicted * YEAR_8H / 100.0,
        history.z(),
        history.week(),
        None if quote.next is None else max(0.0, (quote.next - now) / 1000.0),
        interval,
        _basis(quote),
        quote.open_interest,
        None,
        abs(quote.rate) / cap if quote.rate is not None and cap > 0 else None,
        history.changed(*(time for time in (since, quote.next) if time is not None)),
        age,
        age > patience or (quote.next is not None and now - quote.next > patience * 1000.0),
        quote,
    )


def compared(rows: Sequence[Row]) -> list[Row]:
    """The rows with `above` filled in, coin by coin."""
    lowest: dict[str, float] = {}
    for row in rows:
        if row.predicted is not None and not row.stale:
            lowest[row.base] = min(lowest.get(row.base, row.predicted), row.predicted)
    filled = []
    for row in rows:
        known = row.predicted is not None and not row.stale and row.base in lowest
        above = row.predicted - lowest[row.base] if known and row.predicted is not None else None
        filled.append(row._replace(above=above))
    return filled


def carries(
    rows: Sequence[Row], spots: Mapping[Key, tuple[str, str] | None], how: Carrying
) -> list[Carry]:
    """Every carry that the rows allow, the best first: perpetual against spot, and perpetual
    against perpetual of another venue. Rows that are stale, or without a book, are left out.
    """
    good = [r for r in rows if not r.stale and r.predicted is not None and r.quote.ask is not None]
    found = [
        _against_spot(row, spot, how)
        for row in good
        if (spot := spots[row.key]) is not None and row.quote.spot_ask is not None
    ]
    for long, short in permutations(good, 2):
        if long.base == short.base and long.key.venue != short.key.venue:
            assert long.predicted is not None
            assert short.predicted is not None
            if short.predicted > long.predicted:
                found.append(_between(long, short, how))
    return sorted(found, key=lambda carry: -carry.net)


def _against_spot(row: Row, spot: tuple[str, str], how: Carrying) -> Carry:
    assert row.predicted is not None
    side = 1.0 if row.predicted >= 0 else -1.0
    share = how.leverage / (1.0 + how.leverage)  # notional over capital
    quote = row.quote
    trip = 2.0 * (
        _rules(row.key.venue).value("fees", "perp_taker")
        + _rules(spot[0]).value("fees", "spot_taker")
        + _half(quote.bid, quote.ask)
        + _half(quote.spot_bid, quote.spot_ask)
    )
    loan = 0.0 if side > 0 else _rules(spot[0]).value("borrow", "base_annual")
    cash = how.cash_rate if side > 0 else how.cash_rate / (1.0 + how.leverage)
    perp, pair = f"{row.key.venue} perpetual", f"{spot[0]} spot"
    names = (pair, perp) if side > 0 else (perp, pair)
    costs = share * (trip * YEAR_DAYS / how.hold + loan)
    week = None if row.week is None else side * row.week
    return _carry(row.base, names, share, side * row.predicted, week, costs, cash)


def _between(long: Row, short: Row, how: Carrying) -> Carry:
    assert long.predicted is not None
    assert short.predicted is not None
    share = how.leverage / 2.0  # a wallet at each venue
    trip = 2.0 * sum(
        _rules(row.key.venue).value("fees", "perp_taker") + _half(row.quote.bid, row.quote.ask)
        for row in (long, short)
    )
    week = None if long.week is None or short.week is None else short.week - long.week
    names = (f"{long.key.venue} perpetual", f"{short.key.venue} perpetual")
    costs = share * trip * YEAR_DAYS / how.hold
    rate = short.predicted - long.predicted
    return _carry(long.base, names, share, rate, week, costs, how.cash_rate)


def _carry(
    base: str,
    names: tuple[str, str],
    share: float,
    rate: float,
    week: float | None,
    costs: float,
    cash: float,
) -> Carry:
    """rate, week: bp per 8 h that the notional receives. costs, cash: fractions a year."""
    gross, spent = share * rate * YEAR_8H / 100.0, 100.0 * (costs + cash)
    later = None if week is None else share * week * YEAR_8H / 100.0 - spent
    return Carry(base, *names, gross, 100.0 * costs, 100.0 * cash, gross - spent, later)


def _half(bid: float | None, ask: float | None) -> float:
    """Half the spread over the middle."""
    assert bid is not None
    assert ask is not None
    return (ask - bid) / (ask + bid)


def _interval(quote: Quote, since: int | None) -> float | None:
    """Hours of the running interval, from the last settlement to the next. Where these do not fit,
    the interval that the venue states, or its usual one.
    """
    if quote.next is not None and since is not None:
        hours = round((quote.next - since) / 3_600_000, 2)
        if 0 < hours <= 8:
            return hours
    return quote.interval


def _basis(quote: Quote) -> float | None:
    bid, ask, spot_bid, spot_ask = quote.bid, quote.ask, quote.spot_bid, quote.spot_ask
    if bid and ask and spot_bid and spot_ask:
        return 1e4 * ((bid + ask) / (spot_bid + spot_ask) - 1.0)
    if quote.mark is not None and quote.index_price:
        return 1e4 * (quote.mark / quote.index_price - 1.0)
    return None
