"""What help pages compute about one position: average entry, returns, break-even and target prices,
the cost of an order, quanto contracts.

side: +1 long, -1 short. Linear sizes are base units and money is quote; inverse sizes are contracts
of `face` quote and money is base (the coin). Rates are fractions. Arguments may be numbers or
arrays unless a sequence is asked for. Profit itself: `fundenv.formulas.contract`.
"""

from __future__ import annotations

import numpy as np

from fundenv.formulas.arguments import checked, formula, same_length
from fundenv.formulas.kinds import (
    Amount,
    FeeRate,
    FlatPrice,
    Leverage,
    Number,
    Positive,
    Price,
    Prices,
    Quantities,
    Quantity,
    Side,
    Size,
)


@checked
def average_entry(sizes: Quantities, prices: Prices) -> float:
    """Average entry price of a linear position built in several fills on one side: sum(size x
    price) / sum(size).

    sizes, prices: sequences, one entry a fill; sizes positive, in base units (or contracts of one
    size). 0.5 at 5,000 and 0.3 at 6,000 give 5,375 (Bybit help).
    """
    same_length("average_entry", sizes=sizes, prices=prices)
    return float((sizes * prices).sum() / sizes.sum())


@checked
def inverse_average_entry(contracts: Quantities, prices: Prices) -> float:
    """Average entry price of an inverse position: sum(contracts) / sum(contracts / price), a
    harmonic mean.

    contracts, prices: sequences, one entry a fill on one side. 1,000 at 5,000 and 2,000 at 6,000
    give 5,625 (Bybit help, inverse contracts).
    """
    same_length("inverse_average_entry", contracts=contracts, prices=prices)
    return float(contracts.sum() / (contracts / prices).sum())


@formula
def return_on_margin(profit: Number, margin: Positive):
    """Return on equity of a position (ROE, ROI): profit / margin, a fraction.

    Both in one unit; margin: initial margin (Binance), or initial margin + fee to close (Bybit's
    position margin).
    """
    return profit / margin


@formula
def target_price(side: Side, entry: Price, leverage: Leverage, roe: Number):
    """Price of a linear position at which its return on initial margin is roe: entry x (1 + side x
    roe / leverage) (Binance calculator).
    """
    return entry * (1.0 + side * roe / leverage)


@formula
def inverse_target_price(side: Side, entry: Price, leverage: Leverage, roe: Number):
    """Price of an inverse position at which its return on initial margin is roe: entry x leverage /
    (leverage - side x roe).
    """
    return entry * leverage / (leverage - side * roe)


@formula
def breakeven_price(side: Side, entry: Price, open_rate: FeeRate, close_rate: FeeRate):
    """Exit price at which a linear position has earned its two fees: entry (1 + side x open_rate) /
    (1 - side x close_rate).
    """
    return entry * (1.0 + side * open_rate) / (1.0 - side * close_rate)


@formula
def inverse_breakeven_price(side: Side, entry: Price, open_rate: FeeRate, close_rate: FeeRate):
    """Exit price at which an inverse position has earned its two fees: entry (1 + side x
    close_rate) / (1 - side x open_rate).
    """
    return entry * (1.0 + side * close_rate) / (1.0 - side * open_rate)


@formula
def closed_profit(profit: Number, open_fee: Number, close_fee: Number, funding: Number = 0.0):
    """Closed P&L: profit - open_fee - close_fee + funding. profit: of the price alone; fees: paid,
    positive; funding: received, negative when paid.
    """
    return profit - open_fee - close_fee + funding


@formula
def bybit_position_margin(
    side: Side, quantity: Quantity, entry: Price, leverage: Leverage, fee_rate: FeeRate
):
    """Bybit linear, isolated: initial margin + fee to close at the bankruptcy price [quote].

    entry quantity / leverage + quantity entry (1 - side / leverage) fee_rate; quantity: positive
    base units; fee_rate: taker.
    """
    return quantity * entry / leverage + quantity * entry * (1.0 - side / leverage) * fee_rate


@formula
def bybit_order_cost(
    side: Side, quantity: Quantity, price: Price, leverage: Leverage, fee_rate: FeeRate
):
    """Bybit linear: margin an order needs, `bybit_position_margin` + fee to open (quantity x price
    x fee_rate) [quote].
    """
    return (
        bybit_position_margin(side, quantity, price, leverage, fee_rate)
        + quantity * price * fee_rate
    )


@formula
def bybit_inverse_order_cost(
    side: Side, quantity: Quantity, price: Price, leverage: Leverage, fee_rate: FeeRate
):
    """Bybit inverse: initial margin + fee to open + fee to close at the bankruptcy price [base].

    quantity: contracts of 1 USD each; value = quantity / price; the bankruptcy price is price x
    leverage / (leverage + side).
    """
    value = quantity / price
    return value / leverage + value * fee_rate + value * (leverage + side) / leverage * fee_rate


@checked
def binance_open_loss(side: Side, quantity: Quantity, price: Price, mark: Price):
    """Binance USD-M: loss of an order at once when it fills at its limit `price`: quantity x max(0,
    side x (price - mark)) [quote]; quantity positive.
    """
    return quantity * np.maximum(side * (price - mark), 0.0)


@checked
def binance_order_cost(
    side: Side, quantity: Quantity, price: Price, mark: Price, leverage: Leverage
):
    """Binance USD-M: cost of opening an order = initial margin + open loss: price x quantity /
    leverage + `binance_open_loss` [quote].
    """
    return price * quantity / leverage + binance_open_loss(side, quantity, price, mark)


@formula
def quanto_unrealised(contracts: Size, entry: FlatPrice, price: Price, multiplier: Positive):
    """Profit of a quanto contract in its settlement currency: contracts x multiplier x (price -
    entry).

    contracts: signed; multiplier: settlement currency per contract and quote unit (BitMEX ETHUSD:
    0.000001 XBT a USD).
    """
    return contracts * multiplier * (price - entry)


@formula
def quanto_notional(contracts: Size, price: Price, multiplier: Positive):
    """Value of a quanto position in its settlement currency: |contracts| x multiplier x price."""
    return abs(contracts) * multiplier * price


@formula
def largest_position(funds: Amount, leverage: Leverage, price: Price):
    """Largest linear position [base] that funds [quote] open: funds x leverage / price, before fees
    and the limit of the bracket.
    """
    return funds * leverage / price
