"""Contracts: value, profit, margin and bankruptcy price of linear and inverse perpetuals.

Linear: size in base units (contracts x face in base), money in quote. Inverse (coin-margined): size
in contracts of `face` quote units each, money in base (the coin). Sizes are signed, + long, -
short. Arguments may be numbers or arrays.
"""

from fundenv.formulas.arguments import checked, formula, quotient
from fundenv.formulas.kinds import (
    Amount,
    FeeRate,
    FlatPrice,
    Leverage,
    Number,
    OpenSize,
    Positive,
    Price,
    Share,
    Side,
    Size,
)


@formula
def notional(size: Size, price: Price):
    """Value [quote] of a linear position: |size| x price. size: base units; price: the mark for
    margin, the fill for fees.
    """
    return abs(size) * price


@formula
def unrealised(size: Size, entry: FlatPrice, price: Price):
    """Profit [quote] of a linear position: size x (price - entry).

    size: signed, base units; entry: average entry price; price: the mark for unrealised profit, the
    exit price for realised profit.
    """
    return size * (price - entry)


@formula
def inverse_notional(contracts: Size, price: Price, face: Positive = 1.0):
    """Value [base] of an inverse position: |contracts| x face / price. face: quote per contract (1
    BitMEX, Bybit; 10 or 100 USD Binance COIN-M).
    """
    return abs(contracts) * face / price


@formula
def inverse_unrealised(contracts: Size, entry: Price, price: Price, face: Positive = 1.0):
    """Profit [base] of an inverse position: contracts x face x (1 / entry - 1 / price); contracts
    signed, + long.

    price: the mark for unrealised profit, the exit price for realised profit. Fees and funding are
    not in it.
    """
    return contracts * face * (1.0 / entry - 1.0 / price)


@formula
def initial_margin(value: Amount, leverage: Leverage):
    """Initial margin: value / leverage, in the unit of value (quote for linear, base for inverse).
    A rate r is the leverage 1 / r.
    """
    return value / leverage


@formula
def margin_at_rate(value: Amount, rate: Share):
    """Margin: value x rate (initial or maintenance margin rate, a fraction), in the unit of
    value.
    """
    return value * rate


@formula
def bankruptcy_price(side: Side, entry: Price, leverage: Leverage):
    """Price at which an isolated linear position has lost its initial margin: entry x (1 - side /
    leverage), without fees.

    side: +1 long, -1 short.
    """
    return entry * (1.0 - side / leverage)


@checked
def inverse_bankruptcy_price(side: Side, entry: Price, leverage: Leverage):
    """Price at which an isolated inverse position has lost its initial margin: entry x leverage /
    (leverage + side), without fees.

    side: +1 long, -1 short. A short at leverage 1 has none: infinity (it is a synthetic dollar).
    """
    return quotient(entry * leverage, leverage + side)


@formula
def wallet_bankruptcy_price(wallet: Number, size: OpenSize, entry: Price):
    """Price at which wallet + size (price - entry) is zero: entry - wallet / size. wallet: quote;
    size: signed, base units; no fees.
    """
    return entry - wallet / size


@checked
def inverse_wallet_bankruptcy_price(
    wallet: Number, contracts: OpenSize, entry: Price, face: Positive = 1.0, fee_rate: FeeRate = 0.0
):
    """Price at which an inverse position and its wallet are worth nothing, the fee to close
    included.

    side n (1 + side x fee) / (wallet + side n / entry), n = |contracts| x face. wallet: base;
    contracts: signed; fee_rate: taker fee, a fraction. Bybit's cross bankruptcy price (help
    900000031623 and neighbours, 2020). Infinite or negative: none.
    """
    amount = contracts * face
    return quotient(amount + abs(amount) * fee_rate, wallet + amount / entry)


@formula
def tick_rounded(side: Side, price: Price, tick: Positive):
    """The price as a venue displays it: rounded towards the entry to a multiple of `tick`: up for a
    long (side +1), down for a short (-1).
    """
    steps = price * side / tick
    return side * tick * -(-steps // 1.0)
