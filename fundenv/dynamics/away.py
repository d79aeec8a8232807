"""Wallets on another venue than the account's: money needs time and a fee to reach them and to come
back.

Such a wallet holds all money that the account has there for its perpetuals. Orders are limited by
it, settlements go through it, and no rule moves cash into it at once.
"""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.borrowing import locked_cash
from fundenv.dynamics.capital import capital_parts, gross_of
from fundenv.dynamics.kinds import is_inverse
from fundenv.dynamics.margin import maintenance, wallet_floor
from fundenv.dynamics.types import (
    CASH,
    CASH_INTEREST,
    ENTRY,
    EQUITY,
    FEES,
    MARGIN,
    PERP,
    SENT,
    SENT_BARS,
    TARGET_CARRY,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_NONE,
    TRANSFER_BARS,
    WANT_PERP,
)
from fundenv.dynamics.wallets import is_away, is_frozen, wallet_of
from fundenv.formulas.contract import notional, unrealised
from fundenv.market.layout import PERP_OPEN, SPOT_OPEN


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


@jit_rare
def backed_size(world, store, i, a, row, book):
    """Largest size of the perpetual of leg a [base] that its wallet backs at the target leverage
    and the open of bar `row`, beside what the other legs of the wallet hold or, of the legs before
    it, are to hold.
    """
    legs, wallet = store.legs, wallet_of(world, book, a)
    balance, used = legs[i, wallet, MARGIN], 0.0
    for b in range(legs.shape[1]):
        if wallet_of(world, book, b) != wallet:
            continue
        size, price = legs[i, b, PERP], world.bars[row, b, PERP_OPEN]
        balance += unrealised(size, legs[i, b, ENTRY], price)
        if b != a:
            size += legs[i, b, WANT_PERP] if b < a else 0.0
            used += notional(size, price) / legs[i, b, TARGET_LEVERAGE]
    leverage = legs[i, a, TARGET_LEVERAGE]
    return max(balance - used, 0.0) * leverage / world.bars[row, a, PERP_OPEN]


@jit
def _needed(world, store, i, a, row, symbol):
    """Margin [quote] that leg a asks of its wallet: for the remembered target, or for what is held
    at the open of bar `row` where that is more.
    """
    legs = store.legs
    leverage = legs[i, a, TARGET_LEVERAGE]
    value = abs(legs[i, a, TARGET_CARRY]) * max(store.account[i, EQUITY], 0.0)
    value /= gross_of(world, symbol, leverage) * capital_parts(world, legs.shape[1])
    return max(value, notional(legs[i, a, PERP], world.bars[row, a, PERP_OPEN])) / leverage


@jit
def _lacking(world, store, i, row, book, wallet):
    """(what a wallet lacks of the margin that its legs ask, below 0 what it has too much; that
    margin; whether a leg has a position; whether one has an order) at the open of bar `row`.
    """
    legs, margin = store.legs, store.legs[i, wallet, MARGIN]
    needed, floor, profit, positions, touched = 0.0, 0.0, 0.0, False, False
    for a in range(wallet, legs.shape[1]):
        if wallet_of(world, book, a) != wallet:
            continue
        symbol, price, size = (
            world.symbols[book, a],
            world.bars[row, a, PERP_OPEN],
            legs[i, a, PERP],
        )
        needed += _needed(world, store, i, a, row, symbol)
        floor += maintenance(world.tiers, symbol, notional(size, price))
        profit += unrealised(size, legs[i, a, ENTRY], price)
        positions = positions or size != 0.0
        touched = touched or legs[i, a, TOUCH] != TOUCH_NONE
    return (
        max(needed - profit, wallet_floor(margin, floor)) - margin,
        needed,
        positions,
        touched,
    )


@jit_rare
def send(world, store, out, p, i, row, book):
    """After the fills of bar `row`: send money to the away wallets that lack it and home from those
    that have too much, one transfer at a time for each.
    """
    account, legs, sent = store.account, store.legs, store.displaced
    equity = max(account[i, EQUITY], 0.0)
    least = p.rebalance_band * equity / capital_parts(world, legs.shape[1])
    for a in range(legs.shape[1]):
        away = is_away(world, store, row, a, book) and not is_frozen(world, store, row, a, book)
        if wallet_of(world, book, a) != a or is_inverse(world, book, a) or not away:
            continue
        move, needed, positions, touched = _lacking(world, store, i, row, book, a)
        if not touched:
            continue
        if not positions and legs[i, a, MARGIN] < 0.0:  # a debt is paid at once
            account[i, CASH] += legs[i, a, MARGIN]
            legs[i, a, MARGIN] = 0.0
            continue
        if sent[i, a, SENT_BARS] > 0.0:
            continue
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


@jit_rare
def earn_away(world, store, out, p, i, row, book):
    """Book the interest of bar `row` that wallets on other venues than the account's earn there."""
    legs = store.legs
    for a in range(legs.shape[1]):
        rule = rules_of(world.rules, world.symbols[book, a])
        if rule.perp_venue != 0.0 and legs[i, a, MARGIN] > 0.0:
            earned = legs[i, a, MARGIN] * rule.wallet_rate * p.bar_years
            legs[i, a, MARGIN] += earned
            out.ledger[i, CASH_INTEREST] += earned
