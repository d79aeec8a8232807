"""Closing by force: what every liquidation and auto-deleveraging does to a leg and its wallet."""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.costs import crashed, impact_stress, perp_slippage
from fundenv.dynamics.funds import to_cash
from fundenv.dynamics.impact_memory import PERP_LEG, impact_at_rest, remember_order
from fundenv.dynamics.legs import base_of, profit_of, value_of
from fundenv.dynamics.margin import bracket_of, required_maintenance
from fundenv.dynamics.types import (
    ACCRUED,
    AFTER_FLATTEN,
    AFTER_LIQUIDATION,
    AFTER_NAKED,
    BOOK,
    CASH,
    ENTRY,
    INVERSE,
    LIQUIDATED,
    LIQUIDATION_LOSS,
    MARGIN,
    PENDING,
    PENDING_FLATTEN,
    PENDING_NONE,
    PENDING_REHEDGE,
    PERP,
    PERP_PNL,
    PROCEDURE_FIFTH,
    PROCEDURE_TWO_TIERS,
    PROCEDURE_WHOLE,
    REMEMBERS,
    SPOT,
    TOUCH_FORCED_CRASHED,
    TOUCH_STRESSED,
)
from fundenv.dynamics.wallets import is_away
from fundenv.market.layout import MARK_CLOSE, MARK_HIGH, MARK_LOW, PERP_OPEN, SPOT_CLOSE, SPOT_OPEN

_FIRST_ORDER = 0.2  # Hyperliquid's first liquidation order, share of the position
_BELOW = 1.0 - 1e-9  # a reduced position stands just below the floor of the bracket that it leaves


@jit
def adverse_extreme(bars, row, a, size):
    """Mark price within bar `row` that hurts a signed size most: the high for a short, the low for
    a long.
    """
    return bars[row, a, MARK_HIGH] if size < 0.0 else bars[row, a, MARK_LOW]


@jit
def leg_excess(world, store, i, a, symbol, price):
    """Unrealised profit minus maintenance margin [quote; inverse: coin] of leg a at a mark price;
    add the wallet for the margin above maintenance.
    """
    size, entry = store.legs[i, a, PERP], store.legs[i, a, ENTRY]
    return profit_of(world.contract, size, entry, price) - required_maintenance(
        world, symbol, size, entry, price
    )


@jit
def share_to_close(world, symbol, value, balance, first):
    """Share in (0, 1] of a position worth `value` [quote; inverse: coin] that the venue's procedure
    closes now.

    balance: margin balance of the wallet less what the other legs need [unit of value]; first:
    nothing was closed in this bar yet. tier: down to the next bracket below; two_tiers: down by
    two; where that does not exist, or the balance does not even cover the lowest bracket's rate,
    all of it. fifth: 20 % of a large position first, then all. Sources: Binance liquidation
    protocol; OKX help (2020), section VIII; Hyperliquid docs "Liquidations".
    """
    rule = rules_of(world.rules, symbol)
    if rule.procedure == PROCEDURE_WHOLE or value <= rule.partial_above:
        return 1.0
    if rule.procedure == PROCEDURE_FIFTH:
        return _FIRST_ORDER if first else 1.0
    rungs = 2 if rule.procedure == PROCEDURE_TWO_TIERS else 1
    k = bracket_of(world.tiers, symbol, value)
    if k < rungs or balance <= value * world.tiers[symbol, 0, 1]:
        return 1.0
    return 1.0 - world.tiers[symbol, k - rungs + 1, 0] * _BELOW / value


@jit_rare
def close_leg(world, store, out, p, i, a, wallet, row, book, price, filled, at_open, share):
    """Take over a share of the perpetual leg whose test fails at mark `price` where mark stands at
    `filled`: slippage and fee on what is closed, booked through the wallet of index `wallet`.

    Perp P&L is booked from the price up to which it was booked before to `price`; what lies beyond
    is liquidation loss. What becomes of a loss beyond the wallet says `release_wallet`.
    """
    legs, contract = store.legs, world.contract
    worth, valued = worth_of(world, row, a, at_open), valued_at(world, row, a, at_open)
    rule = rules_of(world.rules, world.symbols[book, a])
    size = legs[i, a, PERP] * share
    behind = crashed(world, row, a, p.crash_sigma)
    touch = TOUCH_FORCED_CRASHED if behind else TOUCH_STRESSED
    spread, impact = perp_slippage(world, store, p, i, a, row, rule, -size, touch)
    if world.codes[REMEMBERS] != 0:  # a liquidation gets nothing back
        traded = base_of(contract, -size, world.bars[row, a, PERP_OPEN])
        stress = impact_stress(p, touch)
        rest = impact_at_rest(world, p, a, row, PERP_LEG, rule.impact, traded, stress)
        most = (0.5 if contract == INVERSE else 1.0) - spread
        impact = min(max(impact, rest), most)
        remember_order(world, store, p, i, a, row, PERP_LEG, rule.impact, traded, impact, filled)
    slip = spread + impact
    fill = filled * (1.0 - slip) if size > 0.0 else filled * (1.0 + slip)
    fee = rule.liquidation_fee * p.fee_scale * value_of(contract, size, fill)
    legs[i, wallet, MARGIN] += profit_of(contract, size, legs[i, a, ENTRY], fill) - fee
    out.ledger[i, PERP_PNL] += profit_of(contract, size, valued, price) * worth
    out.ledger[i, LIQUIDATION_LOSS] -= (abs(profit_of(contract, size, price, fill)) + fee) * worth
    take_off(world, store, i, a, size, share)


@jit
def take_off(world, store, i, a, closed, share):
    """Take what the venue closed off the leg, and remember what the next open owes to its spot
    leg.
    """
    legs = store.legs
    if share < 1.0:
        legs[i, a, PERP] -= closed
    else:
        legs[i, a, PERP], legs[i, a, ENTRY], legs[i, a, ACCRUED] = 0.0, 0.0, 0.0
    legs[i, a, LIQUIDATED] += 1.0
    after = world.codes[AFTER_LIQUIDATION]
    # the coins of an inverse leg may all lie in its wallet
    hedged = world.contract == INVERSE or legs[i, a, SPOT] != 0.0
    if after == AFTER_NAKED or (after == AFTER_FLATTEN and not hedged):
        legs[i, a, PENDING] = PENDING_NONE
    else:
        legs[i, a, PENDING] = PENDING_FLATTEN if after == AFTER_FLATTEN else PENDING_REHEDGE


@jit
def release_wallet(world, store, out, p, i, row, wallet, worth):
    """After a liquidation: the rest of the wallet returns to cash (inverse: to the free coins). Of
    a loss beyond the wallet the account owes `deficit_share`, the venue bears the rest. worth:
    quote per unit of it.
    """
    rest = store.legs[i, wallet, MARGIN]
    if rest < 0.0:
        borne = rest * (1.0 - p.deficit_share)
        out.ledger[i, LIQUIDATION_LOSS] -= borne * worth
        rest -= borne
    elif is_away(world, store, row, wallet, store.episode[i, BOOK]):
        return  # what is left stays on the venue until it is sent home
    if world.contract == INVERSE:
        store.legs[i, wallet, SPOT] += rest
    else:
        store.account[i, CASH] += rest
    store.legs[i, wallet, MARGIN] = 0.0


@jit
def empty_wallets(world, store, i):
    """Portfolio mode: what went through wallets belongs to cash, of inverse contracts to the free
    coins.
    """
    if world.contract != INVERSE:
        to_cash(store, i)
        return
    for a in range(store.legs.shape[1]):
        store.legs[i, a, SPOT] += store.legs[i, a, MARGIN]
        store.legs[i, a, MARGIN] = 0.0


@jit
def gap_price(p, price, worst):
    """Mark at which a liquidation fills whose test fails at mark `price`: `liquidation_gap` of the
    way on to the adverse extreme `worst`.
    """
    return price + p.liquidation_gap * (worst - price)


@jit
def valued_at(world, row, a, at_open):
    """Price up to which the perp P&L of leg a is booked: the last close before the orders of the
    bar, the perp open after them.
    """
    return world.bars[row - 1, a, MARK_CLOSE] if at_open else world.bars[row, a, PERP_OPEN]


@jit
def worth_of(world, row, a, at_open):
    """Quote value of a unit of the wallet's currency: 1; of a coin the spot price up to which its
    profit is booked.
    """
    if world.contract == INVERSE:
        return world.bars[row - 1, a, SPOT_CLOSE] if at_open else world.bars[row, a, SPOT_OPEN]
    return 1.0
