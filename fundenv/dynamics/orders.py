"""Who orders what at the open of a bar: the decision, the after-liquidation order, the lender. The
margin keeper has a file of its own.
"""

from fundenv.compiler.jit import jit, jit_order, jit_scalar
from fundenv.dynamics.action import decode
from fundenv.dynamics.borrowing import level_of
from fundenv.dynamics.capital import capital_parts, gross_of
from fundenv.dynamics.costs import crashed
from fundenv.dynamics.holdings import spot_target
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.legs import quote_of
from fundenv.dynamics.lending import is_dust
from fundenv.dynamics.types import (
    BOOK,
    CAPITAL,
    CAPITAL_SHARED,
    PENDING,
    PENDING_FLATTEN,
    PENDING_NONE,
    PERP,
    REASON,
    REASON_BAND,
    REASON_BORROW,
    REASON_CALLED,
    REASON_HOLD,
    REASON_NONE,
    REQUESTED_PERP,
    REQUESTED_SPOT,
    SPOT,
    TARGET_CARRY,
    TARGET_HEDGE,
    TARGET_LEVERAGE,
    TOUCH,
    TOUCH_CRASHED,
    TOUCH_FORCED_CRASHED,
    TOUCH_NONE,
    TOUCH_NORMAL,
    TOUCH_STRESSED,
    WANT_PERP,
    WANT_SPOT,
)
from fundenv.dynamics.wallets import is_stopped
from fundenv.market.layout import (
    HALTED,
    MARK_CLOSE,
    SPOT_CLOSE,
    UNLISTED,
)


@jit
def order_to_target(world, store, p, i, a, row, equity, band):
    """Orders that bring leg a to its remembered target, sized with equity [quote] and prices of the
    last close; none inside the band.
    """
    legs, bars = store.legs, world.bars
    mark, spot_price = bars[row - 1, a, MARK_CLOSE], bars[row - 1, a, SPOT_CLOSE]
    carry, leverage = legs[i, a, TARGET_CARRY], legs[i, a, TARGET_LEVERAGE]
    gross = gross_of(world, world.symbols[store.episode[i, BOOK], a], leverage)
    parts = capital_parts(world, legs.shape[1])
    perp = -carry * max(equity, 0.0) / gross / parts / quote_of(world.contract, 1.0, mark)
    lends = p.allow_short_spot > 0.5
    if -legs[i, a, TARGET_HEDGE] * perp < 0.0 and not lends:
        perp = 0.0
        legs[i, a, REASON] = REASON_BORROW
    perp_order, spot_order = (
        perp - legs[i, a, PERP],
        spot_target(world, store, i, a, row, perp, not lends) - legs[i, a, SPOT],
    )
    inside = (
        abs(quote_of(world.contract, perp_order, mark)) <= band * equity
        and abs(spot_order) * spot_price <= band * equity
    )
    if inside and carry != 0.0:
        if perp_order != 0.0 or spot_order != 0.0:
            legs[i, a, REASON] = REASON_BAND
        perp_order, spot_order = 0.0, 0.0
    legs[i, a, WANT_PERP], legs[i, a, WANT_SPOT] = perp_order, spot_order


@jit
def used_share(world, store, i, a, row, equity):
    """Share of the equity [quote] that the perpetual of leg a ties up at the last mark, its target
    leverage and its hedge counted.
    """
    value = abs(
        quote_of(world.contract, store.legs[i, a, PERP], world.bars[row - 1, a, MARK_CLOSE])
    )
    if value == 0.0 or equity <= 0.0:
        return 0.0
    symbol = world.symbols[store.episode[i, BOOK], a]
    return value * gross_of(world, symbol, store.legs[i, a, TARGET_LEVERAGE]) / equity


@jit
def _decide_leg(world, store, out, p, i, a, row, equity, hold, carry, hedge, leverage, band):
    """Targets and orders of leg a from its part of the decision; none where the action holds it, or
    where they are worth at most `band` of the equity.
    """
    legs = store.legs
    if hold:
        legs[i, a, REASON] = REASON_HOLD
        return
    legs[i, a, REASON] = REASON_NONE
    legs[i, a, TARGET_CARRY], legs[i, a, TARGET_HEDGE], legs[i, a, TARGET_LEVERAGE] = (
        carry,
        hedge,
        leverage,
    )
    legs[i, a, TOUCH] = TOUCH_NORMAL if legs[i, a, PENDING] == PENDING_NONE else TOUCH_STRESSED
    if not is_stopped(world, row, a, store.episode[i, BOOK]):
        legs[i, a, PENDING] = PENDING_NONE
    order_to_target(world, store, p, i, a, row, equity, band)
    out.trades[i, a, REQUESTED_SPOT], out.trades[i, a, REQUESTED_PERP] = (
        legs[i, a, WANT_SPOT],
        legs[i, a, WANT_PERP],
    )


@jit_scalar
def _decide_shared(world, store, out, p, actions, i, row, equity):
    """The decision over a shared capital: legs that hold keep what they use; the carries asked of
    the others may use the rest, and shrink in proportion where they ask for more. What is asked of
    a coin that is not listed takes no part. Of several legs each has a band in proportion to the
    share of the capital that it uses or asks for, whichever is larger.
    """
    assets, asked, kept = store.legs.shape[1], 0.0, 0.0
    for a in range(assets):
        hold, carry, _, _ = decode(world, p, actions, i, a)
        if hold:
            kept += used_share(of_leg(world, store.episode[i, BOOK], a), store, i, a, row, equity)
        elif world.bars[row - 1, a, HALTED] < UNLISTED:
            asked += abs(carry)
    room = max(1.0 - kept, 0.0)
    share = 1.0 if asked <= room else room / asked
    for a in range(assets):
        hold, carry, hedge, leverage = decode(world, p, actions, i, a)
        carry, band = carry * share, p.rebalance_band
        own = of_leg(world, store.episode[i, BOOK], a)
        if assets > 1:
            band *= min(max(used_share(own, store, i, a, row, equity), abs(carry)), 1.0)
        _decide_leg(own, store, out, p, i, a, row, equity, hold, carry, hedge, leverage, band)


@jit
def decide(world, store, out, p, actions, i, row, equity):
    """The decision of the step: targets and orders of every leg that the action does not hold."""
    if world.codes[CAPITAL] == CAPITAL_SHARED:
        _decide_shared(world, store, out, p, actions, i, row, equity)
        return
    band = p.rebalance_band / capital_parts(world, store.legs.shape[1])
    for a in range(store.legs.shape[1]):
        hold, carry, hedge, leverage = decode(world, p, actions, i, a)
        own = of_leg(world, store.episode[i, BOOK], a)
        _decide_leg(own, store, out, p, i, a, row, equity, hold, carry, hedge, leverage, band)


@jit_order
def _order_what_is_owed(world, store, p, i, a, row, equity):
    """The pending after-liquidation order of leg a."""
    legs = store.legs
    stopped = is_stopped(world, row, a, store.episode[i, BOOK])
    legs[i, a, TOUCH] = TOUCH_STRESSED
    if legs[i, a, PENDING] == PENDING_FLATTEN:
        legs[i, a, WANT_SPOT] = (
            spot_target(world, store, i, a, row, legs[i, a, PERP], False) - legs[i, a, SPOT]
        )
        legs[i, a, WANT_PERP] = 0.0
        if legs[i, a, PERP] != 0.0 and not stopped:
            legs[i, a, PENDING] = (
                # after a partial liquidation the hedge of what is left is restored once
                PENDING_NONE
            )
    else:
        order_to_target(world, store, p, i, a, row, equity, 0.0)
        if not stopped:
            legs[i, a, PENDING] = PENDING_NONE


@jit
def after_liquidation(world, store, p, i, row, equity):
    """Orders of legs with a pending after-liquidation order that the decision has not replaced."""
    legs = store.legs
    for a in range(legs.shape[1]):
        if legs[i, a, PENDING] != PENDING_NONE and legs[i, a, TOUCH] == TOUCH_NONE:
            own = of_leg(world, store.episode[i, BOOK], a)
            _order_what_is_owed(own, store, p, i, a, row, equity)


@jit
def call_loans(world, store, p, i, row):
    """Where the spot account fails its margin level at the last closes, the lender closes the
    reverse carry: coins owed are bought back, perps closed.
    """
    if p.margin_level <= 0.0 or level_of(world, store, p, i, row - 1) > p.margin_level:
        return
    legs = store.legs
    for a in range(legs.shape[1]):
        if not is_dust(p, -legs[i, a, SPOT] * world.bars[row - 1, a, SPOT_CLOSE]):
            legs[i, a, TOUCH] = TOUCH_STRESSED
            legs[i, a, WANT_SPOT] = -legs[i, a, SPOT]
            legs[i, a, WANT_PERP] = -legs[i, a, PERP]
            legs[i, a, TARGET_CARRY] = 0.0
            legs[i, a, REASON] = REASON_CALLED


@jit
def stress_crashes(world, store, p, i, row):
    """Every order behind a crash pays the costs of one."""
    if p.crash_sigma <= 0.0:
        return
    for a in range(store.legs.shape[1]):
        touch = store.legs[i, a, TOUCH]
        if touch != TOUCH_NONE and crashed(world, row, a, p.crash_sigma):
            forced = touch == TOUCH_STRESSED
            store.legs[i, a, TOUCH] = TOUCH_FORCED_CRASHED if forced else TOUCH_CRASHED


@jit
def clear_flattened(world, store, i):
    """A pending `flatten` ends when the spot leg is gone (inverse: and the perpetual, whose wallet
    holds coins).
    """
    for a in range(store.legs.shape[1]):
        gone = store.legs[i, a, SPOT] == 0.0 and (
            not is_inverse(world, store.episode[i, BOOK], a) or store.legs[i, a, PERP] == 0.0
        )
        if store.legs[i, a, PENDING] == PENDING_FLATTEN and gone:
            store.legs[i, a, PENDING] = PENDING_NONE
