"""Funding payments: one settlement, a window of several, continuous accrual, integer indices."""

from __future__ import annotations

import numpy as np

from fundenv.formulas.arguments import checked, formula, same_length
from fundenv.formulas.kinds import (
    Amount,
    ExactSize,
    Exponent,
    Instants,
    Integer,
    Number,
    Numbers,
    OneInstant,
    OneThreshold,
    Positive,
    Price,
    Prices,
    Row,
    Seconds,
    Size,
    refusal,
)

_EIGHT_HOURS = 28_800


@formula
def payment(size: Size, price: Price, rate: Number):
    """Cash flow [quote] to the holder of a linear position at a settlement: -size x price x rate.
    Positive rate: longs pay shorts.

    size: signed, base units, as held at that instant; price: MARK (Binance, Bybit, OKX, BitMEX) or
    ORACLE (Hyperliquid, dYdX), never the entry; of a position VALUE in quote pass it as size and
    price 1; rate: of the whole interval, a fraction.
    """
    return -size * price * rate


@formula
def inverse_payment(contracts: Size, price: Price, rate: Number, face: Positive = 1.0):
    """Cash flow [base] to the holder of an inverse position at a settlement: -contracts x face /
    price x rate.

    contracts: signed; price: mark; face: quote per contract (1 BitMEX and Bybit, 10 or 100 Binance
    COIN-M).
    """
    return -contracts * face / price * rate


@checked
def window_payment(
    size: ExactSize,
    opened: OneInstant,
    closed: OneInstant,
    times: Instants,
    prices: Prices,
    rates: Row,
    grace_seconds: OneThreshold = 15.0,
) -> float:
    """Cash flow [quote] to a linear position of constant size over all settlements that it was open
    for: sum of -size x price x rate.

    size: signed, base units; opened, closed: instants (`fundenv.formulas.kinds.Moment`);
    times, prices, rates: of the settlements (mark price, fraction). Both ends count: a position
    closed at the very instant of a settlement pays, and so does one opened LESS than grace_seconds
    after it (Binance: up to 15 s of deviation; 0 counts only positions opened at or before the
    instant).
    """
    same_length("window_payment", times=times, prices=prices, rates=rates)
    if opened > closed:
        raise refusal("window_payment", "closed", str(closed), f"an instant from {opened} on")
    grace = np.timedelta64(round(grace_seconds * 1e9), "ns")
    held = ((opened <= times) | (opened < times + grace)) & (closed >= times)
    return float((-size * prices * rates)[held].sum())


@checked
def kraken_payment(size: Size, absolute_rate: Number, hours: Amount = 1.0) -> Numbers:
    """Cash flow [quote] to a Kraken linear perpetual over `hours`: -size x absolute_rate x hours.

    size: signed, base units; absolute_rate: quote per base and hour, as Kraken publishes it
    (`kraken_relative_rate` makes it a fraction).
    """
    return -size * absolute_rate * hours


@checked
def deribit_payment(amount: Number, rate_8h: Number, price: Price, seconds: Amount) -> Numbers:
    """Cash flow [base] that a Deribit inverse perpetual accrues in `seconds` at a constant 8 h
    rate: -amount / price x rate_8h x seconds / 28,800.

    amount: signed position in quote (USD); rate_8h: `deribit_rate`; price: index price. Accrual is
    continuous, there is no settlement instant. Source: support.deribit.com 25944756883229 (no
    numeric example is published).
    """
    return -amount / price * rate_8h * (seconds / _EIGHT_HOURS)


@checked
def dydx_index_change(
    price_value: Integer,
    price_exponent: Exponent,
    atomic_resolution: Exponent,
    rate_8h_ppm: Integer,
    seconds: Seconds,
) -> int:
    """Change of dYdX v4's funding index over `seconds`: rate x time / 8 h x oracle price, in the
    chain's integer units, truncated towards zero.

    price_value x 10^price_exponent: oracle price [quote per base]; atomic_resolution: exponent of
    one base quantum; rate_8h_ppm: 8 h rate in parts per million. Unit of the result: 10^-6 quote
    quantums (10^-12 quote) per base quantum. Source: v4-chain x/perpetuals/funding.
    """
    values = price_value, price_exponent, atomic_resolution, rate_8h_ppm, seconds
    return np.frompyfunc(_index_change, 5, 1)(*values)


def _index_change(price: int, exponent: int, resolution: int, rate_ppm: int, seconds: int) -> int:
    # 6 digits of a quote quantum, 6 of ppm; the rate's own ppm are divided out below
    digits = exponent + resolution + 12
    numerator = rate_ppm * price * seconds * 10 ** max(digits, 0)
    denominator = 1_000_000 * _EIGHT_HOURS * 10 ** max(-digits, 0)
    whole = abs(numerator) // denominator
    return whole if numerator >= 0 else -whole


@checked
def dydx_settlement(index_before: Integer, index_after: Integer, quantums: Integer) -> int:
    """Cash flow to a dYdX v4 position between two values of the funding index: -(after - before) x
    quantums, in 10^-6 quote quantums (ppm).

    quantums: signed position in base quantums. A rising index means that longs pay.
    """
    return -(index_after - index_before) * quantums
