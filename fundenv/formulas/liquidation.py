"""Liquidation prices as each venue computes them, and what follows a liquidation.

side: +1 long, -1 short. size: signed base units unless called `quantity` (positive). Money in quote
for linear contracts, in base for inverse ones. Rates are fractions. A long's price at or below
zero, or a short's at infinity or below zero, means that no price liquidates the position. Except
where `mark` is an argument, the price is the MARK price at which margin balance = maintenance
margin.
"""

from fundenv.formulas.arguments import (
    Amount,
    FeeRate,
    FlatPrice,
    Leverage,
    Number,
    OpenQuantity,
    OpenSize,
    Positive,
    Price,
    Quantity,
    Share,
    Side,
    Size,
    checked,
    formula,
    quotient,
)
from fundenv.formulas.contract import (
    bankruptcy_price,
    inverse_bankruptcy_price,
    inverse_wallet_bankruptcy_price,
    tick_rounded,
    wallet_bankruptcy_price,
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


@checked
def binance_coinm_price(
    wallet: Number,
    contracts: OpenSize,
    entry: Price,
    rate: Share,
    amount: Number = 0.0,
    face: Positive = 100.0,
    other_maintenance: Amount = 0.0,
    other_profit: Number = 0.0,
):
    """Binance COIN-M, one-way: face (|contracts| x rate + contracts) / (wallet - other_maintenance
    + other_profit + amount + contracts x face / entry).

    wallet, amount, other_*: base (the coin); contracts: signed; face: 100 USD (BTC) or 10 USD. The
    place where wallet + profit = |contracts| face / price x rate - amount. Source: Binance FAQ
    ceccfcfb4e3a45e3b48b0b1bb1a8ae46.
    """
    funds = wallet - other_maintenance + other_profit + amount
    return quotient(face * (abs(contracts) * rate + contracts), funds + contracts * face / entry)


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


@checked
def bybit_inverse_price(
    side: Side,
    quantity: OpenQuantity,
    entry: Price,
    leverage: Leverage,
    rate: Share,
    deduction: Amount = 0.0,
    extra_margin: Number = 0.0,
):
    """Bybit inverse isolated (2024): quantity / (PV + side x (IM - MM + extra_margin)), PV =
    quantity / entry, IM = PV / leverage, MM = PV rate - deduction.

    quantity: contracts of 1 USD each; deduction, extra_margin: base.
    """
    value = quantity / entry
    return quotient(
        quantity, value + side * (value / leverage - (value * rate - deduction) + extra_margin)
    )


@checked
def bybit_inverse_cross_price(
    wallet: Number,
    contracts: OpenSize,
    entry: Price,
    rate: Share,
    fee_rate: FeeRate = 0.0,
    face: Positive = 1.0,
):
    """Bybit inverse cross (2020): price at which wallet + profit = maintenance on the ENTRY value +
    taker fee to close at the bankruptcy price.

    wallet: available balance + margin [base]; contracts: signed; rate: maintenance rate; fee_rate:
    taker. The page rounds to the tick (`tick_rounded`).
    """
    amount = contracts * face
    bankrupt = quotient(amount + abs(amount) * fee_rate, wallet + amount / entry)
    needed = abs(amount) / entry * rate + abs(amount) / bankrupt * fee_rate
    return quotient(amount, wallet + amount / entry - needed)


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


@checked
def inverse_entry_margin_price(
    wallet: Number, contracts: OpenSize, entry: Price, rate: Share, face: Positive = 1.0
):
    """Liquidation price of an inverse position whose maintenance is fixed at the ENTRY value
    (BitMEX XBTUSD, Bybit).

    n / (wallet + n / entry - |n| / entry x rate), n = contracts x face, signed. wallet: base,
    everything that backs the position (isolated: its margin); rate: maintenance rate, with the
    taker fee where the venue counts it (BitMEX). Infinite: none.
    """
    amount = contracts * face
    return quotient(amount, wallet + amount / entry - abs(amount) / entry * rate)


@checked
def okx_inverse_price(
    side: Side,
    entry: Price,
    margin: Number,
    quantity: OpenQuantity,
    rate: Share,
    fee_rate: FeeRate,
    face: Positive = 100.0,
):
    """OKX and Gate coin-margined isolated: n (1 + side x (rate + fee_rate)) / (n / entry + side x
    margin), n = quantity x face.

    quantity: contracts; face: quote per contract (OKX BTC-USD 100, others 10); margin: base; rate:
    maintenance rate; fee_rate: taker (liquidation) fee. `binance_coinm_price` with the fee in the
    rate. Infinite or negative: none.
    """
    amount = quantity * face
    return quotient(amount * (1.0 + side * (rate + fee_rate)), amount / entry + side * margin)
