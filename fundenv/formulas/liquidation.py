"""Liquidation prices as each venue computes them, and what follows a liquidation.

side: +1 long, -1 short. size: signed base units unless called `quantity` (positive). Money in quote
for linear contracts, in base for inverse ones. Rates are fractions. A long's price at or below
zero, or a short's at infinity or below zero, means that no price liquidates the position. Except
where `mark` is an argument, the price is the MARK price at which margin balance = maintenance
margin.
"""

from fundenv.formulas.arguments import checked, formula, quotient
from fundenv.formulas.contract import (
    bankruptcy_price,
    inverse_bankruptcy_price,
    inverse_wallet_bankruptcy_price,
    tick_rounded,
    wallet_bankruptcy_price,
)
from fundenv.formulas.kinds import (
    Amount,
    FeeRate,
    FlatPrice,
    Leverage,
    Number,
    OpenQuantity,
    OpenSize,
    Price,
    Quantity,
    Share,
    Side,
    Size,
)
from fundenv.formulas.liquidation_inverse import (
    binance_coinm_price,
    bybit_inverse_cross_price,
    bybit_inverse_price,
    inverse_entry_margin_price,
    okx_inverse_price,
)
from fundenv.formulas.procedures import (
    bankruptcy_takeover_loss,
    binance_adl_rank,
    bitmex_adl_rank,
    buffered_price,
    dydx_fillable_price,
    dydx_liquidation_penalty,
    hyperliquid_adl_rank,
    hyperliquid_backstop,
    hyperliquid_first_order,
    insurance_loss,
    partial_quantity,
    tier_reduction,
)

__all__ = [
    "bankruptcy_price",
    "bankruptcy_takeover_loss",
    "binance_adl_rank",
    "binance_coinm_price",
    "binance_hedge_price",
    "binance_price",
    "bitmex_adl_rank",
    "buffered_price",
    "bybit_inverse_cross_price",
    "bybit_inverse_price",
    "bybit_price",
    "dydx_fillable_price",
    "dydx_liquidation_penalty",
    "dydx_price",
    "entry_margin_price",
    "hyperliquid_adl_rank",
    "hyperliquid_backstop",
    "hyperliquid_first_order",
    "hyperliquid_price",
    "insurance_loss",
    "inverse_bankruptcy_price",
    "inverse_entry_margin_price",
    "inverse_wallet_bankruptcy_price",
    "okx_inverse_price",
    "okx_price",
    "partial_quantity",
    "tick_rounded",
    "tier_reduction",
    "wallet_bankruptcy_price",
]


@formula
def binance_price(
    wallet: Number,
    size: OpenSize,
    entry: Price,
    rate: Share,
    amount: Number = 0.0,
    other_maintenance: Amount = 0.0,
    other_profit: Number = 0.0,
):
    """Binance USD-M, one-way mode: (wallet - other_maintenance + other_profit + amount - size x
    entry) / (|size| x rate - size).

    Isolated: wallet = initial margin + margin added - funding paid from it, the others 0. Cross:
    wallet = cross wallet balance, other_maintenance and other_profit = maintenance margin and
    unrealised profit of all OTHER positions at their marks. rate, amount: maintenance rate and
    amount of the bracket that holds |size| x the price itself (iterate). Source: Binance "How to
    Calculate Liquidation Price of USD-M Futures Contracts".
    """
    return (wallet - other_maintenance + other_profit + amount - size * entry) / (
        abs(size) * rate - size
    )


@checked
def binance_hedge_price(
    wallet: Number,
    size: Size,
    entry: FlatPrice,
    rate: Share,
    amount: Number,
    long_size: Quantity,
    long_entry: FlatPrice,
    long_rate: Share,
    long_amount: Number,
    short_size: Quantity,
    short_entry: FlatPrice,
    short_rate: Share,
    short_amount: Number,
    other_maintenance: Amount = 0.0,
    other_profit: Number = 0.0,
):
    """Binance USD-M with one-way (size, signed), long and short (both positive) positions of one
    contract.

    (wallet - other_maintenance + other_profit + amounts - size entry - long_size long_entry +
    short_size short_entry) / (|size| rate + long_size long_rate + short_size short_rate - size -
    long_size + short_size). Sizes that do not exist are 0.
    """
    value = size * entry + long_size * long_entry - short_size * short_entry
    needed = abs(size) * rate + long_size * long_rate + short_size * short_rate
    funds = wallet - other_maintenance + other_profit + amount + long_amount + short_amount
    return quotient(funds - value, needed - size - long_size + short_size)


@formula
def bybit_price(
    side: Side,
    entry: Price,
    leverage: Leverage,
    rate: Share,
    quantity: OpenQuantity = 1.0,
    deduction: Amount = 0.0,
    extra_margin: Number = 0.0,
):
    """Bybit USDT isolated: entry - side x (IM - MM + extra_margin) / quantity, IM = entry quantity
    / leverage, MM = entry quantity rate - deduction.

    Maintenance is taken on the ENTRY value. extra_margin [quote]: added margin; funding paid from
    the position's margin enters with a minus. quantity: positive base units. Source: Bybit help
    "Liquidation Price (USDT Contract)".
    """
    value = entry * quantity
    return entry - side * (value / leverage - (value * rate - deduction) + extra_margin) / quantity


@formula
def okx_price(
    side: Side, entry: Price, margin: Number, quantity: OpenQuantity, rate: Share, fee_rate: FeeRate
):
    """OKX and Gate linear isolated: (entry - side x margin / quantity) / (1 - side x (rate +
    fee_rate)).

    margin: position margin [quote]; quantity: positive base units; rate: maintenance rate;
    fee_rate: taker (liquidation) fee.
    """
    return (entry - side * margin / quantity) / (1.0 - side * (rate + fee_rate))


@formula
def hyperliquid_price(
    side: Side,
    price: Price,
    margin_available: Number,
    quantity: OpenQuantity,
    max_leverage: Leverage,
):
    """Hyperliquid: price - side x margin_available / quantity / (1 - l x side), l = 1 / (2
    max_leverage), the maintenance rate.

    price: entry or current mark; margin_available [quote], measured at that same price: cross =
    account value - maintenance margin, isolated = isolated margin - maintenance margin; quantity:
    positive base units; max_leverage: of the position's margin tier. Source: Hyperliquid docs
    "Liquidations".
    """
    return price - side * margin_available / quantity / (1.0 - side / (2.0 * max_leverage))


@formula
def dydx_price(
    equity: Number, size: OpenSize, price: Price, rate: Share, other_maintenance: Amount = 0.0
):
    """dYdX v4: (equity - size x price - other_maintenance) / (|size| x rate - size).

    equity [quote]: of the subaccount with the market at `price` (oracle); size: signed; rate:
    maintenance margin fraction; other_maintenance: of the other positions. Source: dYdX v4
    documentation "Liquidations".
    """
    return (equity - size * price - other_maintenance) / (abs(size) * rate - size)


@formula
def entry_margin_price(wallet: Number, size: OpenSize, entry: Price, rate: Share):
    """Liquidation price where maintenance is fixed at the ENTRY notional (BitMEX linear pages):
    entry - (wallet - |size| entry rate) / size.

    wallet: quote, everything that backs the position (cross: the whole balance).
    """
    return entry - (wallet - abs(size) * entry * rate) / size
