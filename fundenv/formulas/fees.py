"""Trading fees and slippage. Rates are fractions of the traded value; a negative rate is a
rebate.
"""

import numpy as np

from fundenv.formulas.arguments import checked, formula
from fundenv.formulas.kinds import Amount, FeeRate, Positive, Price, Quantity, Share, Side


@formula
def fee(value: Amount, rate: FeeRate):
    """Fee of one fill: value x rate, in the unit of value: |size| x fill price [quote], or
    |contracts| x face / fill price [base] for inverse contracts.
    """
    return value * rate


@formula
def blended_rate(maker: FeeRate, taker: FeeRate, maker_share: Share):
    """Average fee rate when a share of the volume rests in the book: maker_share x maker + (1 -
    maker_share) x taker.
    """
    return maker_share * maker + (1.0 - maker_share) * taker


@formula
def round_trip_fee(value: Amount, rate: FeeRate):
    """Fees of opening and closing a position of constant value with orders of one kind: 2 x value x
    rate (rate: the maker's or the taker's).
    """
    return 2.0 * value * rate


@formula
def discounted_rate(rate: FeeRate, discount: Share):
    """Fee rate after a discount (a fraction): rate x (1 - discount). Binance with BNB: 10 % on
    USD-M, 25 % on spot.
    """
    return rate * (1.0 - discount)


@formula
def carry_round_trip(value: Amount, perp_rate: FeeRate, spot_rate: FeeRate):
    """Fees of entering and leaving a hedged pair of constant value: 2 x value x (perp_rate +
    spot_rate). Binance's base rates, taker: 30 bp.
    """
    return 2.0 * value * (perp_rate + spot_rate)


@checked
def square_root_impact(
    quantity: Quantity, day_volume: Positive, sigma_day: Amount, coefficient: Amount = 0.7
):
    """Impact of an order as a fraction of the price: coefficient x sigma_day x sqrt(quantity /
    day_volume).

    quantity, day_volume: one unit (base or quote), positive; sigma_day: daily volatility, a
    fraction; coefficient: 0.5 to 1. 10 million of a day's 10 billion at 2.5 % and 0.7 cost 5.5 bp.
    Source: Donier and Bonart 2015 (arXiv 1412.4503) for the law.
    """
    return coefficient * sigma_day * np.sqrt(quantity / day_volume)


@formula
def fill_price(side: Side, mid: Price, half_spread: Share, impact: Amount = 0.0):
    """Fill of a market order: mid x (1 + side x (half_spread + impact)); side +1 buys, -1 sells;
    half_spread, impact: fractions of mid.
    """
    return mid * (1.0 + side * (half_spread + impact))
