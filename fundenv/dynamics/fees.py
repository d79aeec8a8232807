"""Trading fees. Rates are fractions of the traded value; a negative rate is a rebate."""

from fundenv.dynamics.jit import formula


@formula
def fee(value, rate):
    """Fee of one fill: value x rate, in the unit of value: |size| x fill price [quote], or |contracts| x face / fill price [base] for inverse contracts."""
    return value * rate


@formula
def blended_rate(maker, taker, maker_share):
    """Average fee rate when a share of the volume rests in the book: maker_share x maker + (1 - maker_share) x taker."""
    return maker_share * maker + (1.0 - maker_share) * taker


@formula
def round_trip_fee(value, rate):
    """Fees of opening and closing a position of constant value with orders of one kind: 2 x value x rate (rate: the maker's or the taker's)."""
    return 2.0 * value * rate
