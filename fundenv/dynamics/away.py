"""Wallets on another venue than the account's: money needs time and a fee to reach them and to come
back.

Such a wallet holds all money that the account has there for its perpetual. Orders are limited by
it, settlements go through it, and no rule moves cash into it at once.
"""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.capital import capital_parts, gross_of
from fundenv.dynamics.legs import profit_of
from fundenv.dynamics.margin import maintenance, wallet_floor
from fundenv.dynamics.types import (
    CASH,
    ENTRY,
    EQUITY,
    FEES,
    MARGIN,
    PERP,
    PLACED,
    SENT,
    SENT_BARS,
    TARGET_CARRY,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_NONE,
    TRANSFER_BARS,
)
from fundenv.formulas.contract import notional
from fundenv.market.layout import FROZEN, HALTED, PERP_OPEN, SPOT_OPEN


@jit
def is_frozen(world, row, a):
    """Whether the venue of the perpetual of leg a lets no money go in bar `row`."""
    return world.contract == PLACED and world.bars[row, a, HALTED] == FROZEN


@jit
def is_away(world, row, a, symbol):
    """Whether no money moves at once between cash and the wallet of leg a, of that symbol: it
    travels, or the venue is frozen in bar `row`.
    """
    if world.contract != PLACED:
        return False
    travels = world.codes[TRANSFER_BARS] != 0 and rules_of(world.rules, symbol).away != 0.0
    return travels or is_frozen(world, row, a)


@jit_rare
def money_sent(world, store, i):
    """Quote that is on its way between venues."""
    total = 0.0
    for a in range(store.displaced.shape[1]):
        total += abs(store.displaced[i, a, SENT])
    return total


@jit_rare
def receive(world, store, p, i):
    """Let a bar pass for the transfers under way: what arrives is in the wallet, or in cash."""
    sent = store.displaced
    for a in range(sent.shape[1]):
        if sent[i, a, SENT_BARS] <= 0.0:
            continue
        sent[i, a, SENT_BARS] -= 1.0
        if sent[i, a, SENT_BARS] <= 0.0:
            if sent[i, a, SENT] > 0.0:
                store.legs[i, a, MARGIN] += sent[i, a, SENT]
            else:
                store.account[i, CASH] -= sent[i, a, SENT]
            sent[i, a, SENT] = 0.0


@jit
def backed_size(world, store, i, a, row):
    """Largest size of the perpetual of leg a [base] that its wallet backs at the target leverage
    and the open of bar `row`.
    """
    legs, price = store.legs, world.bars[row, a, PERP_OPEN]
    balance = legs[i, a, MARGIN] + profit_of(
        world.contract, legs[i, a, PERP], legs[i, a, ENTRY], price
    )
    return max(balance, 0.0) * legs[i, a, TARGET_LEVERAGE] / price


@jit
def _needed(world, store, i, a, row, symbol):
    """Margin [quote] that the wallet of leg a is to hold: that of the remembered target, or of what
    is held at the open of bar `row` where that is more.
    """
    legs = store.legs
    leverage = legs[i, a, TARGET_LEVERAGE]
    value = abs(legs[i, a, TARGET_CARRY]) * max(store.account[i, EQUITY], 0.0)
    value /= gross_of(world, symbol, leverage) * capital_parts(world, legs.shape[1])
    return max(value, notional(legs[i, a, PERP], world.bars[row, a, PERP_OPEN])) / leverage


@jit_rare
def send(world, store, out, p, i, row, book):
    """After the fills of bar `row`: send money to the away wallets that lack it and home from those
    that have too much, one transfer at a time for each.
    """
    account, legs, sent = store.account, store.legs, store.displaced
    equity = max(account[i, EQUITY], 0.0)
    least = p.rebalance_band * equity / capital_parts(world, legs.shape[1])
    for a in range(legs.shape[1]):
        symbol = world.symbols[book, a]
        away = is_away(world, row, a, symbol) and not is_frozen(world, row, a)
        if legs[i, a, TOUCH] == TOUCH_NONE or not away:
            continue
        price, size, margin = world.bars[row, a, PERP_OPEN], legs[i, a, PERP], legs[i, a, MARGIN]
        if size == 0.0 and margin < 0.0:  # a debt is paid at once
            account[i, CASH] += margin
            legs[i, a, MARGIN] = 0.0
            continue
        if sent[i, a, SENT_BARS] > 0.0:
            continue
        needed = _needed(world, store, i, a, row, symbol)
        floor = maintenance(world.tiers, symbol, notional(size, price))
        profit = profit_of(world.contract, size, legs[i, a, ENTRY], price)
        move = max(needed - profit, wallet_floor(margin, floor)) - margin
        if move > 0.0:
            free = account[i, CASH] - locked_cash(world, store, i, row, SPOT_OPEN)
            move = min(move, max(free, 0.0))
        if abs(move) <= p.transfer_cost or (abs(move) <= least and needed > 0.0):
            continue
        if move > 0.0:
            account[i, CASH] -= move
            sent[i, a, SENT] = move - p.transfer_cost
        else:
            legs[i, a, MARGIN] += move
            sent[i, a, SENT] = move + p.transfer_cost
        sent[i, a, SENT_BARS] = float(world.codes[TRANSFER_BARS])
        out.ledger[i, FEES] -= p.transfer_cost
