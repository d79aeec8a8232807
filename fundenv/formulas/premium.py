"""Premium, mark price and annualisation: what stands before and after a funding-rate formula.

Every argument may be a number or an array (broadcast against each other). Rates and premia are
fractions (0.0001 = 1 bp), prices quote per base.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Any  # a number, an array, or a list of numbers
_YEAR_HOURS = 8760.0


def premium_index(impact_bid: Values, impact_ask: Values, index: Values) -> Numbers:
    """One premium sample: [max(0, impact bid - index) - max(0, index - impact ask)] / index.

    impact_bid, impact_ask: average price of a market sell and buy order of the impact notional;
    index: index price (Binance, Bybit, BitMEX, OKX) or oracle price (Hyperliquid, dYdX). Sources:
    Binance FAQ 360033525031; Hyperliquid docs "Funding" (179 of 179 live coins fit).
    """
    bid, ask, reference = (np.asarray(x, dtype=np.float64) for x in (impact_bid, impact_ask, index))
    return np.asarray(
        (np.maximum(bid - reference, 0.0) - np.maximum(reference - ask, 0.0)) / reference
    )


def impact_price(prices: Values, quantities: Values, notional: float) -> float:
    """Average fill price of a market order that trades `notional` quote through one side of an
    order book: the impact bid or ask price.

    prices, quantities: levels from the best on, quote per base and base units. Raises ValueError
    where the book is not deep enough.
    """
    price, quantity = (np.asarray(x, dtype=np.float64) for x in (prices, quantities))
    value = np.minimum(
        price * quantity,
        np.maximum(notional - np.append(0.0, np.cumsum(price * quantity)[:-1]), 0.0),
    )
    if value.sum() < notional * (1.0 - 1e-12):
        raise ValueError(
            f"notional = {notional:g}: the book holds {value.sum():g} quote; give more levels or a"
            " smaller order"
        )
    return float(value.sum() / (value / price).sum())


def bitmex_premium_index(
    impact_bid: Values, impact_ask: Values, mark: Values, index: Values, fair_basis_rate: Values
) -> Numbers:
    """BitMEX premium sample: [max(0, impact bid - mark) - max(0, mark - impact ask)] / index +
    fair_basis_rate.

    mark: the fair price, `fair_price`; fair_basis_rate: its basis over the index, funding rate x
    time to funding / interval.
    """
    bid, ask, fair = (np.asarray(x, dtype=np.float64) for x in (impact_bid, impact_ask, mark))
    return np.asarray(
        (np.maximum(bid - fair, 0.0) - np.maximum(fair - ask, 0.0)) / index + fair_basis_rate
    )


def mid_premium(best_bid: Values, best_ask: Values, index: Values) -> Numbers:
    """Premium of the mid price: ((best bid + best ask) / 2 - index) / index (OKX until April
    2025).
    """
    middle = (np.asarray(best_bid, dtype=np.float64) + best_ask) / 2.0
    return np.asarray((middle - index) / index)


def _weights(kind: str, position: NDArray[Any]) -> NDArray[Any]:
    if kind not in ("linear", "equal"):
        raise ValueError(f"weights = {kind!r} is not one of linear, equal")
    return position if kind == "linear" else np.ones_like(position)


def average_premium(samples: Values, weights: Literal["linear", "equal"] = "linear") -> Numbers:
    """Average premium of one interval: sum(w_i P_i) / sum(w_i) over the last axis, samples in time
    order.

    weights: `linear` w_i = i = 1 .. n, the latest counts most (Binance, every 5 s, n = 5,760 for 8
    h; Bybit, and OKX since 2025, per minute); `equal` w_i = 1 (BitMEX, Hyperliquid, OKX until April
    2025, Binance where the interval is 1 h).
    """
    values = np.asarray(samples, dtype=np.float64)
    weight = _weights(weights, np.arange(1.0, values.shape[-1] + 1.0))
    return np.asarray((values * weight).sum(axis=-1) / weight.sum())


def running_premium(
    samples: Values, interval: Values | None = None, weights: Literal["linear", "equal"] = "linear"
) -> Numbers:
    """`average_premium` of the interval so far, after each sample (T,): what is known of the
    pending rate.

    interval: (T,) label of the interval of each sample, such as the number of settlements before
    it; None: all of one interval.
    """
    values = pd.Series(np.asarray(samples, dtype=np.float64))
    label = np.zeros(len(values)) if interval is None else np.asarray(interval)
    weight = pd.Series(_weights(weights, values.groupby(label).cumcount().to_numpy() + 1.0))
    return np.asarray(
        (values * weight).groupby(label).cumsum() / weight.groupby(label).cumsum(), dtype=np.float64
    )


def impact_notional(base: Values, initial_margin_rate: Values) -> Numbers:
    """Size [quote] of the order behind an impact price: base / initial margin rate.

    base: 200 USDT at Binance, 500 USDC at dYdX. initial_margin_rate: fraction at maximum leverage
    (0.008 = 125x gives 25,000 USDT); dYdX's IMF.
    """
    return np.asarray(np.asarray(base, dtype=np.float64) / initial_margin_rate)


def fair_price(
    index: Values, rate: Values, seconds_to_funding: Values, interval_seconds: Values = 28_800
) -> Numbers:
    """Index x (1 + rate x time to funding / interval) [quote per base].

    BitMEX's fair price (its basis, `fair_price - index`, is refreshed on the minute) and Binance's
    Price 1. rate: the funding rate to be paid next, for the whole interval; seconds_to_funding:
    time until it is settled.
    """
    left = np.asarray(seconds_to_funding, dtype=np.float64) / interval_seconds
    return np.asarray(np.asarray(index, dtype=np.float64) * (1.0 + np.asarray(rate) * left))


def binance_mark_price(
    index: Values,
    rate: Values,
    seconds_to_funding: Values,
    interval_seconds: Values,
    mid_basis: Values,
    last_price: Values,
) -> Numbers:
    """Binance's and Bybit's mark price: median(Price 1, Price 2, last traded price of the
    contract).

    Price 1 = `fair_price(index, rate, ...)` with the last funding rate; Price 2 = index +
    mid_basis, mid_basis [quote] = moving average of (best bid + best ask) / 2 - index (30 s since
    2025-09-18, one minute before). Sources: Binance support "Mark Price", announcement of
    2025-09-16.
    """
    first = fair_price(index, rate, seconds_to_funding, interval_seconds)
    second = np.asarray(index, dtype=np.float64) + mid_basis
    return np.asarray(
        np.median(
            np.stack(np.broadcast_arrays(first, second, np.asarray(last_price, dtype=np.float64))),
            axis=0,
        )
    )


def basis_mark_price(index: Values, basis: Values) -> Numbers:
    """Mark price from a smoothed basis: index + moving average of (mid price - index) [quote]. OKX;
    Deribit with a 30 s exponential average.
    """
    return np.asarray(np.asarray(index, dtype=np.float64) + basis)


def median_mark_price(first: Values, second: Values, third: Values) -> Numbers:
    """Median of three prices: Hyperliquid's mark, of (oracle + 150 s average of mid - oracle),
    median(best bid, best ask, last) and the CEX perps' median; Binance's and Bybit's of Price 1,
    Price 2 and the last price.
    """
    stacked = np.stack(
        np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (first, second, third)))
    )
    return np.asarray(np.median(stacked, axis=0))


def annual_simple(rate: Values, hours: Values = 8.0) -> Numbers:
    """A rate per `hours` hours as a fraction per year, without compounding: rate x 8760 / hours.
    0.01 % per 8 h is 10.95 %.
    """
    return np.asarray(np.asarray(rate, dtype=np.float64) * (_YEAR_HOURS / np.asarray(hours)))


def annual_compounded(rate: Values, hours: Values = 8.0) -> Numbers:
    """A rate per `hours` hours as a fraction per year, compounded: (1 + rate)^(8760 / hours) - 1.
    0.01 % per 8 h is 11.57 %.

    One article gives 130 % a year for 0.05 % per 8 h; it is 54.75 % simple and 72.9 % compounded.
    """
    return np.asarray(
        np.expm1(np.log1p(np.asarray(rate, dtype=np.float64)) * (_YEAR_HOURS / np.asarray(hours)))
    )
