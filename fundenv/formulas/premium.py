"""Premium, mark price and annualisation: what stands before and after a funding-rate formula.

Rates and premia are fractions (0.0001 = 1 bp), prices quote per base.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.formulas.arguments import checked, same_length
from fundenv.formulas.kinds import (
    Amount,
    Growth,
    Number,
    Numbers,
    OneAmount,
    Positive,
    Price,
    Prices,
    Quantities,
    Row,
    Series,
)

_YEAR_HOURS = 8760.0


@checked
def premium_index(impact_bid: Price, impact_ask: Price, index: Price) -> Numbers:
    """One premium sample: [max(0, impact bid - index) - max(0, index - impact ask)] / index.

    impact_bid, impact_ask: average price of a market sell and buy order of the impact notional;
    index: index price (Binance, Bybit, BitMEX, OKX) or oracle price (Hyperliquid, dYdX). Sources:
    Binance FAQ 360033525031; Hyperliquid docs "Funding" (179 of 179 live coins fit).
    """
    return (np.maximum(impact_bid - index, 0.0) - np.maximum(index - impact_ask, 0.0)) / index


@checked
def impact_price(prices: Prices, quantities: Quantities, notional: OneAmount) -> float:
    """Average fill price of a market order that trades `notional` quote through one side of an
    order book: the impact bid or ask price.

    prices, quantities: levels from the best on, quote per base and base units. Raises ValueError
    where the book is not deep enough.
    """
    same_length("impact_price", prices=prices, quantities=quantities)
    worth = prices * quantities
    value = np.minimum(worth, np.maximum(notional - np.append(0.0, np.cumsum(worth)[:-1]), 0.0))
    if value.sum() < notional * (1.0 - 1e-12):
        raise ValueError(
            f"notional = {notional:g}: the book holds {value.sum():g} quote; give more levels or a"
            " smaller order"
        )
    return float(value.sum() / (value / prices).sum())


@checked
def bitmex_premium_index(
    impact_bid: Price, impact_ask: Price, mark: Price, index: Price, fair_basis_rate: Number
) -> Numbers:
    """BitMEX premium sample: [max(0, impact bid - mark) - max(0, mark - impact ask)] / index +
    fair_basis_rate.

    mark: the fair price, `fair_price`; fair_basis_rate: its basis over the index, funding rate x
    time to funding / interval.
    """
    depth = np.maximum(impact_bid - mark, 0.0) - np.maximum(mark - impact_ask, 0.0)
    return depth / index + fair_basis_rate


@checked
def mid_premium(best_bid: Price, best_ask: Price, index: Price) -> Numbers:
    """Premium of the mid price: ((best bid + best ask) / 2 - index) / index (OKX until April
    2025).
    """
    return ((best_bid + best_ask) / 2.0 - index) / index


def _weights(kind: str, position: NDArray[Any]) -> NDArray[Any]:
    if kind not in ("linear", "equal"):
        raise ValueError(f"weights = {kind!r} is not one of linear, equal")
    return position if kind == "linear" else np.ones_like(position)


@checked
def average_premium(samples: Series, weights: Literal["linear", "equal"] = "linear") -> Numbers:
    """Average premium of one interval: sum(w_i P_i) / sum(w_i) over the last axis, samples in time
    order.

    weights: `linear` w_i = i = 1 .. n, the latest counts most (Binance, every 5 s, n = 5,760 for 8
    h; Bybit, and OKX since 2025, per minute); `equal` w_i = 1 (BitMEX, Hyperliquid, OKX until April
    2025, Binance where the interval is 1 h).
    """
    weight = _weights(weights, np.arange(1.0, samples.shape[-1] + 1.0))
    return (samples * weight).sum(axis=-1) / weight.sum()


@checked
def running_premium(
    samples: Row, interval: Any = None, weights: Literal["linear", "equal"] = "linear"
) -> Numbers:
    """`average_premium` of the interval so far, after each sample (T,): what is known of the
    pending rate.

    interval: (T,) label of the interval of each sample, such as the number of settlements before
    it; None: all of one interval.
    """
    values = pd.Series(samples)
    label = np.zeros(len(values)) if interval is None else np.asarray(interval)
    same_length("running_premium", samples=samples, interval=label)
    weight = pd.Series(_weights(weights, values.groupby(label).cumcount().to_numpy() + 1.0))
    return np.asarray(
        (values * weight).groupby(label).cumsum() / weight.groupby(label).cumsum(), dtype=np.float64
    )


@checked
def impact_notional(base: Amount, initial_margin_rate: Positive) -> Numbers:
    """Size [quote] of the order behind an impact price: base / initial margin rate.

    base: 200 USDT at Binance, 500 USDC at dYdX. initial_margin_rate: fraction at maximum leverage
    (0.008 = 125x gives 25,000 USDT); dYdX's IMF.
    """
    return base / initial_margin_rate


@checked
def fair_price(
    index: Price, rate: Number, seconds_to_funding: Amount, interval_seconds: Positive = 28_800.0
) -> Numbers:
    """Index x (1 + rate x time to funding / interval) [quote per base].

    BitMEX's fair price (its basis, `fair_price - index`, is refreshed on the minute) and Binance's
    Price 1. rate: the funding rate to be paid next, for the whole interval; seconds_to_funding:
    time until it is settled.
    """
    return index * (1.0 + rate * (seconds_to_funding / interval_seconds))


@checked
def binance_mark_price(
    index: Price,
    rate: Number,
    seconds_to_funding: Amount,
    interval_seconds: Positive,
    mid_basis: Number,
    last_price: Price,
) -> Numbers:
    """Binance's and Bybit's mark price: median(Price 1, Price 2, last traded price of the
    contract).

    Price 1 = `fair_price(index, rate, ...)` with the last funding rate; Price 2 = index +
    mid_basis, mid_basis [quote] = moving average of (best bid + best ask) / 2 - index (30 s since
    2025-09-18, one minute before). Sources: Binance support "Mark Price", announcement of
    2025-09-16.
    """
    first = fair_price(index, rate, seconds_to_funding, interval_seconds)
    return np.median(np.stack(np.broadcast_arrays(first, index + mid_basis, last_price)), axis=0)


@checked
def basis_mark_price(index: Price, basis: Number) -> Numbers:
    """Mark price from a smoothed basis: index + moving average of (mid price - index) [quote]. OKX;
    Deribit with a 30 s exponential average.
    """
    return index + basis


@checked
def median_mark_price(first: Price, second: Price, third: Price) -> Numbers:
    """Median of three prices: Hyperliquid's mark, of (oracle + 150 s average of mid - oracle),
    median(best bid, best ask, last) and the CEX perps' median; Binance's and Bybit's of Price 1,
    Price 2 and the last price.
    """
    return np.median(np.stack(np.broadcast_arrays(first, second, third)), axis=0)


@checked
def annual_simple(rate: Number, hours: Positive = 8.0) -> Numbers:
    """A rate per `hours` hours as a fraction per year, without compounding: rate x 8760 / hours.
    0.01 % per 8 h is 10.95 %.
    """
    return rate * (_YEAR_HOURS / hours)


@checked
def annual_compounded(rate: Growth, hours: Positive = 8.0) -> Numbers:
    """A rate per `hours` hours as a fraction per year, compounded: (1 + rate)^(8760 / hours) - 1.
    0.01 % per 8 h is 11.57 %.

    One article gives 130 % a year for 0.05 % per 8 h; it is 54.75 % simple and 72.9 % compounded.
    """
    return np.expm1(np.log1p(rate) * (_YEAR_HOURS / hours))
