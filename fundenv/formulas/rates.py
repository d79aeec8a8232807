"""Funding-rate rules of the venues, from an average premium to the rate of one interval.

All rates, premia, caps and clamps are fractions (0.0001
= 1 bp). A positive rate means that longs pay shorts. `premium` is the average over the interval
(`fundenv.formulas.premium.average_premium`), as published, not scaled by its length. The clamp of
+-0.05 % acts on (interest - premium); it is no cap on the rate, which may reach +-0.3 % (BTC) to
+-2 % and more.
"""

from __future__ import annotations

import numpy as np

from fundenv.formulas.arguments import checked
from fundenv.formulas.kinds import (
    Amount,
    Cap,
    Limit,
    Number,
    Numbers,
    Positive,
    Price,
    Share,
    Truth,
    refusal,
)

INTEREST_8H = 0.0001  # 0.03 % a day
CLAMP = 0.0005


@checked
def limited(rate: Number, cap: Cap = np.inf, floor: Limit = None) -> Numbers:
    """The rate within [floor, cap]; without a floor within [-cap, cap]."""
    lowest = -cap if floor is None else floor
    if np.any(lowest > cap):
        raise refusal("limited", "floor", lowest, "a number of at most the cap")
    return np.clip(rate, lowest, cap)


@checked
def clamped_rate(premium: Number, interest: Number = INTEREST_8H, clamp: Cap = CLAMP) -> Numbers:
    """The common core: premium + clamp(interest - premium, -clamp, +clamp).

    interest: for the same span as the premium (0.0001 per 8 h). With the usual numbers every
    premium in [-0.04 %, +0.06 %] gives exactly 0.01 %.
    """
    return premium + np.clip(interest - premium, -clamp, clamp)


@checked
def binance_rate(
    premium: Number,
    interest: Number = INTEREST_8H,
    clamp: Cap = CLAMP,
    hours: Positive = 8.0,
    cap: Cap = np.inf,
    floor: Limit = None,
    scaled: Truth = True,
) -> Numbers:
    """Binance USD-M and COIN-M: [premium + clamp(interest - premium)] / (8 / hours), then floor and
    cap.

    interest: per 8 h (0 for BNBUSDT, ETHBTC); hours: length of the interval; cap, floor: of the
    rate paid at one settlement, floor = -cap where not given. scaled: the division by 8 / hours, in
    force since 2025-09-18 08:01 UTC; how 4 h symbols were scaled before is not published. `scaled`
    is of no consequence at 8 h. Source: Binance FAQ 360033525031, announcement of 2025-09-16.
    """
    factor = np.where(scaled | np.isnan(hours), hours / 8.0, 1.0)
    return limited(clamped_rate(premium, interest, clamp) * factor, cap, floor)


@checked
def binance_cap(maintenance_rate: Share, factor: Amount = 0.75) -> Numbers:
    """Cap [fraction per settlement] of a Binance major: factor x maintenance rate at maximum
    leverage (0.75 now, 1 in 2022); the floor is its negative.
    """
    return factor * maintenance_rate


@checked
def bybit_rate(
    premium: Number,
    hours: Positive = 8.0,
    interest_daily: Number = 0.0003,
    clamp: Cap = CLAMP,
    cap: Cap = np.inf,
) -> Numbers:
    """Bybit: premium + clamp(interest_daily x hours / 24 - premium), within +-cap; the interest
    scales with the interval, the clamp does not.

    premium: of one-minute samples, linear weights. Source: Bybit help "Introduction to Funding
    Rate"; the rule behind its caps is not published.
    """
    return limited(clamped_rate(premium, interest_daily * hours / 24.0, clamp), cap)


@checked
def okx_rate(
    premium: Number,
    hours: Positive = 8.0,
    interest_daily: Number = 0.0003,
    clamp: Cap = CLAMP,
    cap: Cap = np.inf,
) -> Numbers:
    """OKX since April 2025 (three batches, 10, 17 and 24 April): premium + clamp(interest_daily x
    hours / 24 - premium), within +-cap.

    premium: linear weights; cap: of the instrument. The same arithmetic as `bybit_rate`. Source:
    OKX notice on the 2025 formula.
    """
    return bybit_rate(premium, hours, interest_daily, clamp, cap)


@checked
def okx_rate_until_2025(premium: Number, cap: Cap, floor: Limit = None) -> Numbers:
    """OKX until April 2025: clamp(mean premium - 0, floor, cap), no interest and no dead zone.

    premium: equally weighted mean of the one-minute premia of mid prices. cap: 0.00375 (BTC),
    0.0075 (ETH and others), 0.003 in 2019; floor = -cap where not given. In 2019 the rate of the
    PREVIOUS interval was paid. Source: okx.com/help/360053909272.
    """
    return limited(premium, cap, floor)


@checked
def bitmex_interest(
    quote_rate_daily: Number, base_rate_daily: Number, intervals_per_day: Positive = 3.0
) -> Numbers:
    """BitMEX: interest of one interval, (quote rate - base rate) / intervals per day; daily borrow
    rates of the two currencies.
    """
    return (quote_rate_daily - base_rate_daily) / intervals_per_day


@checked
def bitmex_cap(initial_margin: Share, maintenance_margin: Share) -> Numbers:
    """BitMEX: largest |rate| of one settlement, 0.75 x (initial - maintenance margin); both as
    fractions (1 % and 0.5 % give 0.375 %).
    """
    return 0.75 * (initial_margin - maintenance_margin)


@checked
def bitmex_change_cap(maintenance_margin: Share) -> Numbers:
    """BitMEX: largest change of the rate from one settlement to the next, 0.75 x maintenance margin
    (a fraction).
    """
    return 0.75 * maintenance_margin


@checked
def bitmex_rate(
    premium: Number,
    interest: Number = INTEREST_8H,
    cap: Cap = np.inf,
    previous_rate: Number = None,
    change_cap: Cap = np.inf,
    clamp: Cap = CLAMP,
) -> Numbers:
    """BitMEX: premium + clamp(interest - premium), with |rate| <= cap and |rate - previous_rate| <=
    change_cap.

    premium: 8 h mean of the one-minute premia; interest: `bitmex_interest`; cap: `bitmex_cap`;
    change_cap: `bitmex_change_cap`, applied where previous_rate (the rate of the interval before)
    is given. The rate is paid at the END of the next interval (the venue publishes `fundingRate`
    and `indicativeFundingRate` apart). Source: bitmex.com/app/perpetualContractsGuide.
    """
    rate = limited(clamped_rate(premium, interest, clamp), cap)
    if previous_rate is None:
        return np.where(np.isnan(change_cap), np.nan, rate)
    return np.clip(rate, previous_rate - change_cap, previous_rate + change_cap)


@checked
def deribit_rate(mark: Price, index: Price, band: Cap = 0.00025, cap: Cap = np.inf) -> Numbers:
    """Deribit's 8 h rate at one instant: max(band, p) + min(-band, p) with p = (mark - index) /
    index, within +-cap.

    It accrues continuously (`deribit_payment`). Inside the dead band |p| <= band the rate is ZERO,
    not the 0.01 % of other venues. band: 0.025 % (0.05 % in older contracts, with a cap of 0.5 %).
    Sources: support.deribit.com 25944756883229, 31424939178397.
    """
    premium = mark / index - 1.0
    return limited(np.maximum(band, premium) + np.minimum(-band, premium), cap)


@checked
def hyperliquid_rate(
    premium: Number, interest: Number = INTEREST_8H, clamp: Cap = CLAMP, cap: Cap = 0.04
) -> Numbers:
    """Hyperliquid's rate of ONE HOUR: [premium + clamp(interest - premium)] / 8, within +-cap.

    premium: hourly mean of the 5 s premia against the oracle; interest: per 8 h; cap: per hour. The
    payment uses the ORACLE price. HIP-3 markets and hyperps follow other rules. Source: Hyperliquid
    docs "Funding".
    """
    return limited(clamped_rate(premium, interest, clamp) / 8.0, cap)


@checked
def dydx_rate(premium: Number, interest: Number = 0.0, cap_8h: Cap = np.inf) -> Numbers:
    """dYdX v4's rate of ONE HOUR: premium / 8 + interest, within +-cap_8h / 8.

    premium: 8 h premium, mean of the hour's sixty one-minute medians; interest: per hour, 0 on
    cross markets, 0.0000125 only where governance set it (on isolated markets); cap_8h: `dydx_cap`.
    Source: dYdX v4 documentation, "Funding".
    """
    return limited(premium / 8.0 + interest, cap_8h / 8.0)


@checked
def dydx_cap(initial_margin: Share, maintenance_margin: Share, factor: Amount = 6.0) -> Numbers:
    """dYdX v4: largest |8 h rate|, 6 x (initial - maintenance margin fraction); 5 % and 3 % give 12
    %.
    """
    return factor * (initial_margin - maintenance_margin)


@checked
def kraken_relative_rate(absolute: Number, index: Price, cap: Cap = np.inf) -> Numbers:
    """Kraken's hourly rate as a fraction: absolute rate [quote per base and hour] / index price,
    within +-cap (0.25 % an hour).

    Not absolute x 8 / mark, as a widely used client once had it (ccxt issue 25343).
    """
    return limited(absolute / index, cap)


@checked
def trailing_average_rate(
    perp: Price, spot: Price, mean_rate: Number, clamp: Cap = CLAMP
) -> Numbers:
    """Used by NO venue: clamp((perp - spot) / spot - mean_rate, -clamp, +clamp), as some articles
    describe funding.

    perp, spot: prices; mean_rate: mean of the last eight rates. Kept to compare with. With spot
    65,000, perp 64,500 and mean 0.01 % it gives -0.05 % (an article prints +0.05 %); the venues'
    formula gives -0.719 %, which Binance's floor lifts to -0.30 %.
    """
    return limited(perp / spot - 1.0 - mean_rate, clamp)


@checked
def rate_by_rule(
    rule: str,
    premium: Number,
    hours: Positive,
    interest_8h: Number,
    clamp: Cap,
    cap: Cap,
    scaled: Truth,
    mean_rate: Number,
) -> Numbers:
    """The rate of one interval by the rule that a venue file names, from its numbers.

    premium: average so far; hours: length of the interval; cap: of one settlement; scaled,
    mean_rate: read by `binance` and `trailing_average` alone.
    """
    interest = interest_8h * hours / 8.0
    if rule == "binance":
        return binance_rate(premium, interest_8h, clamp, hours, cap, scaled=scaled)
    if rule in ("bybit", "okx"):
        return bybit_rate(premium, hours, 3.0 * interest_8h, clamp, cap)
    if rule == "okx_until_2025":
        return okx_rate_until_2025(premium, cap)
    if rule == "bitmex":
        return bitmex_rate(premium, interest, cap, clamp=clamp)
    if rule == "deribit":
        return limited(deribit_rate(1.0 + premium, 1.0, clamp) * hours / 8.0, cap)
    if rule == "hyperliquid":
        return limited(hyperliquid_rate(premium, interest_8h, clamp, np.inf) * hours, cap)
    if rule in ("dydx", "kraken"):  # how Kraken averages its premium is not published
        return limited(dydx_rate(premium, interest_8h / 8.0) * hours, cap)
    if rule == "trailing_average":
        return trailing_average_rate(1.0 + premium, 1.0, mean_rate, clamp)
    raise ValueError(f"rule = {rule!r} is not the name of a funding rule")
