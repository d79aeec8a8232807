"""Liquidation prices of inverse contracts, as each venue computes them. Signs and units as in
`fundenv.formulas.liquidation`, which hands these on.
"""

from fundenv.formulas.arguments import checked, quotient
from fundenv.formulas.kinds import (
    Amount,
    FeeRate,
    Leverage,
    Number,
    OpenQuantity,
    OpenSize,
    Positive,
    Price,
    Share,
    Side,
)


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
