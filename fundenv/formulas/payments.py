"""Funding payments: one settlement, a window of several, continuous accrual, integer indices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fundenv.compiler.jit import formula
from fundenv.formulas.premium import Values

_EIGHT_HOURS = 28_800


@formula
def payment(size, price, rate):
    """Cash flow [quote] to the holder of a linear position at a settlement: -size x price x rate.
    Positive rate: longs pay shorts.

    size: signed, base units, as held at that instant; price: MARK (Binance, Bybit, OKX, BitMEX) or
    ORACLE (Hyperliquid, dYdX), never the entry; of a position VALUE in quote pass it as size and
    price 1; rate: of the whole interval, a fraction.
    """
    return -size * price * rate


@formula
def inverse_payment(contracts, price, rate, face=1.0):
    """Cash flow [base] to the holder of an inverse position at a settlement: -contracts x face /
    price x rate.

    contracts: signed; price: mark; face: quote per contract (1 BitMEX and Bybit, 10 or 100 Binance
    COIN-M).
    """
    return -contracts * face / price * rate


def window_payment(
    size: float,
    opened: Values,
    closed: Values,
    times: Values,
    prices: Values,
    rates: Values,
    grace_seconds: float = 15.0,
) -> float:
    """Cash flow [quote] to a linear position of constant size over all settlements that it was open
    for: sum of -size x price x rate.

    size: signed, base units; opened, closed: instants (anything numpy reads as datetime64, UTC);
    times, prices, rates: of the settlements (mark price, fraction). Both ends count: a position
    closed at the very instant of a settlement pays, and so does one opened LESS than grace_seconds
    after it (Binance: up to 15 s of deviation; 0 counts only positions opened at or before the
    instant).
    """
    instants = np.asarray(times, dtype="datetime64[ns]")
    first = np.datetime64(opened, "ns")
    last = np.datetime64(closed, "ns")
    grace = np.timedelta64(round(grace_seconds * 1e9), "ns")
    held = ((first <= instants) | (first < instants + grace)) & (last >= instants)
    flows: NDArray[np.float64] = (
        -size * np.asarray(prices, dtype=np.float64) * np.asarray(rates, dtype=np.float64)
    )
    return float(flows[held].sum())


def kraken_payment(size: Values, absolute_rate: Values, hours: Values = 1.0) -> NDArray[np.float64]:
    """Cash flow [quote] to a Kraken linear perpetual over `hours`: -size x absolute_rate x hours.

    size: signed, base units; absolute_rate: quote per base and hour, as Kraken publishes it
    (`kraken_relative_rate` makes it a fraction).
    """
    return np.asarray(-np.asarray(size, dtype=np.float64) * absolute_rate * hours)


def deribit_payment(
    amount: Values, rate_8h: Values, price: Values, seconds: Values
) -> NDArray[np.float64]:
    """Cash flow [base] that a Deribit inverse perpetual accrues in `seconds` at a constant 8 h
    rate: -amount / price x rate_8h x seconds / 28,800.

    amount: signed position in quote (USD); rate_8h: `deribit_rate`; price: index price. Accrual is
    continuous, there is no settlement instant. Source: support.deribit.com 25944756883229 (no
    numeric example is published).
    """
    share = np.asarray(seconds, dtype=np.float64) / _EIGHT_HOURS
    return np.asarray(-np.asarray(amount, dtype=np.float64) / price * rate_8h * share)


def dydx_index_change(
    price_value: int, price_exponent: int, atomic_resolution: int, rate_8h_ppm: int, seconds: int
) -> int:
    """Change of dYdX v4's funding index over `seconds`: rate x time / 8 h x oracle price, in the
    chain's integer units, truncated towards zero.

    price_value x 10^price_exponent: oracle price [quote per base]; atomic_resolution: exponent of
    one base quantum; rate_8h_ppm: 8 h rate in parts per million. Unit of the result: 10^-6 quote
    quantums (10^-12 quote) per base quantum. Source: v4-chain x/perpetuals/funding.
    """
    # 6 digits of a quote quantum, 6 of ppm; the rate's own ppm are divided out below
    exponent = price_exponent + atomic_resolution + 12
    numerator = rate_8h_ppm * price_value * seconds * 10 ** max(exponent, 0)
    denominator = 1_000_000 * _EIGHT_HOURS * 10 ** max(-exponent, 0)
    whole = abs(numerator) // denominator
    return whole if numerator >= 0 else -whole


def dydx_settlement(index_before: int, index_after: int, quantums: int) -> int:
    """Cash flow to a dYdX v4 position between two values of the funding index: -(after - before) x
    quantums, in 10^-6 quote quantums (ppm).

    quantums: signed position in base quantums. A rising index means that longs pay.
    """
    return -(index_after - index_before) * quantums
