"""The margin test inside a bar and what the venue does when it fails."""

from fundenv.dynamics.access import rules_of
from fundenv.dynamics.contract import notional, unrealised
from fundenv.dynamics.execution import perp_slippage
from fundenv.dynamics.jit import jit, jit_rare
from fundenv.dynamics.margin import liquidation_price, maintenance
from fundenv.dynamics.types import (
    ACCRUED,
    AFTER_FLATTEN,
    AFTER_LIQUIDATION,
    AFTER_NAKED,
    CASH,
    ENTRY,
    LIQUIDATED,
    LIQUIDATION_LOSS,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_MODE,
    PENDING,
    PENDING_FLATTEN,
    PENDING_NONE,
    PENDING_REHEDGE,
    PERP,
    PERP_PNL,
    SPOT,
)
from fundenv.market.layout import MARK_CLOSE, MARK_HIGH, MARK_LOW, MARK_OPEN, PERP_OPEN

_BISECTIONS = 60


@jit
def adverse_extreme(bars, row, a, size):
    """Mark price within bar `row` that hurts a signed size most: the high for a short, the low for a long."""
    return bars[row, a, MARK_HIGH] if size < 0.0 else bars[row, a, MARK_LOW]


@jit
def leg_excess(world, store, i, a, symbol, price):
    """Unrealised profit minus maintenance margin [quote] of leg a at a mark price; add the wallet for the margin left above maintenance."""
    size = store.legs[i, a, PERP]
    return unrealised(size, store.legs[i, a, ENTRY], price) - maintenance(world.tiers, symbol, notional(size, price))


@jit_rare
def close_leg(world, store, out, p, i, a, wallet, row, path, price, valued):
    """Take over the whole perpetual leg at mark `price`: slippage and fee on top, booked through the wallet of index `wallet`.

    The caller caps the loss at the wallet. Perp P&L is booked from `valued`, the price up to which it was booked before, to `price`.
    """
    legs = store.legs
    rule = rules_of(world.rules, world.symbols[path, a])
    size = legs[i, a, PERP]
    spread, impact = perp_slippage(world.bars, row, a, rule, size, p.cost_scale * p.stress_multiplier)
    slip = spread + impact
    fill = price * (1.0 - slip) if size > 0.0 else price * (1.0 + slip)
    fee = rule.liquidation_fee * p.fee_scale * abs(size) * fill
    legs[i, wallet, MARGIN] += unrealised(size, legs[i, a, ENTRY], fill) - fee
    out.ledger[i, PERP_PNL] += size * (price - valued)
    out.ledger[i, LIQUIDATION_LOSS] -= abs(size * (fill - price)) + fee
    legs[i, a, PERP], legs[i, a, ENTRY], legs[i, a, ACCRUED] = 0.0, 0.0, 0.0
    legs[i, a, LIQUIDATED] += 1.0
    after = world.codes[AFTER_LIQUIDATION]
    if after == AFTER_NAKED or (after == AFTER_FLATTEN and legs[i, a, SPOT] == 0.0):
        legs[i, a, PENDING] = PENDING_NONE
    else:
        legs[i, a, PENDING] = PENDING_FLATTEN if after == AFTER_FLATTEN else PENDING_REHEDGE


@jit
def release_wallet(store, out, i, wallet):
    """After a liquidation: the venue bears what the wallet cannot, the rest returns to cash."""
    rest = store.legs[i, wallet, MARGIN]
    if rest < 0.0:
        out.ledger[i, LIQUIDATION_LOSS] -= rest
        rest = 0.0
    store.account[i, CASH] += rest
    store.legs[i, wallet, MARGIN] = 0.0


@jit
def _valued(world, row, a, at_open):
    """Price up to which the perp P&L of leg a is booked: the last close before the orders of the bar, the perp open after them."""
    return world.bars[row - 1, a, MARK_CLOSE] if at_open else world.bars[row, a, PERP_OPEN]


@jit
def liquidate_isolated(world, store, out, p, i, row, path, at_open):
    """Test every leg against its own wallet, at the open or at the adverse extreme of mark, and close those that fail."""
    legs, bars = store.legs, world.bars
    for a in range(legs.shape[1]):
        size = legs[i, a, PERP]
        if size == 0.0:
            continue
        symbol = world.symbols[path, a]
        opened = bars[row, a, MARK_OPEN]
        worst = opened if at_open else adverse_extreme(bars, row, a, size)
        margin = legs[i, a, MARGIN]
        if margin + leg_excess(world, store, i, a, symbol, worst) > 0.0:
            continue
        price = opened
        if margin + leg_excess(world, store, i, a, symbol, opened) > 0.0:
            price = liquidation_price(margin, size, legs[i, a, ENTRY], world.tiers, symbol)
            price = min(max(price, min(opened, worst)), max(opened, worst))
        close_leg(world, store, out, p, i, a, a, row, path, price, _valued(world, row, a, at_open))
        release_wallet(store, out, i, a)


@jit
def _cross_excess(world, store, i, row, path, share):
    """Margin above maintenance of the shared wallet when every leg stands at mark open + share x (adverse extreme - mark open)."""
    legs, bars = store.legs, world.bars
    excess = legs[i, 0, MARGIN]
    for a in range(legs.shape[1]):
        if legs[i, a, PERP] != 0.0:
            opened = bars[row, a, MARK_OPEN]
            price = opened + share * (adverse_extreme(bars, row, a, legs[i, a, PERP]) - opened)
            excess += leg_excess(world, store, i, a, world.symbols[path, a], price)
    return excess


@jit_rare
def _first_failure(world, store, i, row, path):
    """Share of the way from mark open to the adverse extremes at which the shared wallet first fails; it fails at the end of it."""
    if _cross_excess(world, store, i, row, path, 0.0) <= 0.0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if _cross_excess(world, store, i, row, path, middle) > 0.0:
            low = middle
        else:
            high = middle
    return high


@jit
def liquidate_cross(world, store, out, p, i, row, path, at_open):
    """Test the shared wallet, at the open or with every leg at its adverse extreme at once; where it fails, close all legs at the first failure."""
    legs, bars = store.legs, world.bars
    positions = False
    for a in range(legs.shape[1]):
        positions = positions or legs[i, a, PERP] != 0.0
    if not positions or _cross_excess(world, store, i, row, path, 0.0 if at_open else 1.0) > 0.0:
        return
    share = _first_failure(world, store, i, row, path)
    for a in range(legs.shape[1]):
        size = legs[i, a, PERP]
        if size != 0.0:
            opened = bars[row, a, MARK_OPEN]
            price = opened + share * (adverse_extreme(bars, row, a, size) - opened)
            close_leg(world, store, out, p, i, a, 0, row, path, price, _valued(world, row, a, at_open))
    release_wallet(store, out, i, 0)


@jit
def liquidate(world, store, out, p, i, row, path, at_open):
    """The margin test in the account's margin mode: at the mark open on what was held before the orders, or inside the bar on what is held after."""
    if world.codes[MARGIN_MODE] == MARGIN_CROSS:
        liquidate_cross(world, store, out, p, i, row, path, at_open)
    else:
        liquidate_isolated(world, store, out, p, i, row, path, at_open)
