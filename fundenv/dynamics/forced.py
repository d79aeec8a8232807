"""The margin test inside a bar and what the venue does when it fails."""

from fundenv.dynamics.access import rules_of
from fundenv.dynamics.coins import coins_of
from fundenv.dynamics.collateral import LIQUIDATION_RATIO, spot_collateral
from fundenv.dynamics.contract import profit_of, value_of
from fundenv.dynamics.execution import perp_slippage
from fundenv.dynamics.funds import to_cash
from fundenv.dynamics.jit import jit, jit_rare
from fundenv.dynamics.margin import bracket_of, inverse_liquidation_price, liquidation_price, required_maintenance
from fundenv.dynamics.types import (
    ACCRUED,
    AFTER_FLATTEN,
    AFTER_LIQUIDATION,
    AFTER_NAKED,
    CASH,
    ENTRY,
    ENTRY_MARGIN,
    INVERSE,
    LIQUIDATED,
    LIQUIDATION_LOSS,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_ISOLATED,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    PENDING,
    PENDING_FLATTEN,
    PENDING_NONE,
    PENDING_REHEDGE,
    PERP,
    PERP_PNL,
    PROCEDURE_FIFTH,
    PROCEDURE_TWO_TIERS,
    PROCEDURE_WHOLE,
    SPOT,
)
from fundenv.market.layout import MARK_CLOSE, MARK_HIGH, MARK_LOW, MARK_OPEN, PERP_OPEN, SIGMA_DAY, SPOT_CLOSE, SPOT_OPEN

_BISECTIONS = 60
_FIRST_ORDER = 0.2  # Hyperliquid's first liquidation order, share of the position
_BELOW = 1.0 - 1e-9  # a reduced position stands just below the floor of the bracket that it leaves


@jit
def adverse_extreme(bars, row, a, size):
    """Mark price within bar `row` that hurts a signed size most: the high for a short, the low for a long."""
    return bars[row, a, MARK_HIGH] if size < 0.0 else bars[row, a, MARK_LOW]


@jit
def leg_excess(world, store, i, a, symbol, price):
    """Unrealised profit minus maintenance margin [quote; inverse: coin] of leg a at a mark price; add the wallet for the margin above maintenance."""
    size, entry = store.legs[i, a, PERP], store.legs[i, a, ENTRY]
    return profit_of(world.contract, size, entry, price) - required_maintenance(world, symbol, size, entry, price)


@jit
def share_to_close(world, symbol, value, balance, first):
    """Share in (0, 1] of a position worth `value` [quote; inverse: coin] that the venue's procedure closes now.

    balance: margin balance of the wallet less what the other legs need [unit of value]; first: nothing was closed in this bar yet. tier: down to the next
    bracket below; two_tiers: down by two; where that does not exist, or the balance does not even cover the lowest bracket's rate, all of it. fifth:
    20 % of a large position first, then all. Sources: Binance liquidation protocol; OKX help (2020), section VIII; Hyperliquid docs "Liquidations".
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
def close_leg(world, store, out, p, i, a, wallet, row, book, price, at_open, share):
    """Take over a share of the perpetual leg at mark `price`: slippage and fee on what is closed, booked through the wallet of index `wallet`.

    The caller caps the loss at the wallet. Perp P&L is booked from the price up to which it was booked before to `price`.
    """
    legs, contract = store.legs, world.contract
    worth, valued = _worth(world, row, a, at_open), _valued(world, row, a, at_open)
    rule = rules_of(world.rules, world.symbols[book, a])
    size = legs[i, a, PERP] * share
    spread, impact = perp_slippage(world, row, a, rule, size, p.cost_scale * p.stress_multiplier)
    slip = spread + impact
    fill = price * (1.0 - slip) if size > 0.0 else price * (1.0 + slip)
    fee = rule.liquidation_fee * p.fee_scale * value_of(contract, size, fill)
    legs[i, wallet, MARGIN] += profit_of(contract, size, legs[i, a, ENTRY], fill) - fee
    out.ledger[i, PERP_PNL] += profit_of(contract, size, valued, price) * worth
    out.ledger[i, LIQUIDATION_LOSS] -= (abs(profit_of(contract, size, price, fill)) + fee) * worth
    _take_off(world, store, i, a, size, share)


@jit
def _deleverage_price(world, row, a, size, adl_sigma):
    """Mark price at which a winning position of a signed size is deleveraged in bar `row`, 0 where mark does not get there."""
    bars = world.bars
    way = -1.0 if size < 0.0 else 1.0
    price = bars[row, a, MARK_OPEN] * max(1.0 + way * adl_sigma * bars[row, a, SIGMA_DAY], 0.0)
    reached = bars[row, a, MARK_LOW] <= price if size < 0.0 else bars[row, a, MARK_HIGH] >= price
    return price if reached else 0.0


@jit_rare
def deleverage(world, store, out, p, i, row):
    """Auto-deleveraging: the venue closes a share of every leg that wins while mark runs far in its favour, at that price, without fee or slippage."""
    legs = store.legs
    for a in range(legs.shape[1]):
        size = legs[i, a, PERP]
        if size == 0.0:
            continue
        price = _deleverage_price(world, row, a, size, p.adl_sigma)
        if price > 0.0 and profit_of(world.contract, size, legs[i, a, ENTRY], price) > 0.0:
            wallet = a if world.contract == INVERSE or world.codes[MARGIN_MODE] == MARGIN_ISOLATED else 0
            closed = size * p.adl_share
            legs[i, wallet, MARGIN] += profit_of(world.contract, closed, legs[i, a, ENTRY], price)
            out.ledger[i, PERP_PNL] += profit_of(world.contract, closed, _valued(world, row, a, False), price) * _worth(
                world, row, a, False
            )
            _take_off(world, store, i, a, closed, p.adl_share)
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        _empty_wallets(world, store, i)


@jit
def _empty_wallets(world, store, i):
    """Portfolio mode: what went through wallets belongs to cash, of inverse contracts to the free coins."""
    if world.contract != INVERSE:
        to_cash(store, i)
        return
    for a in range(store.legs.shape[1]):
        store.legs[i, a, SPOT] += store.legs[i, a, MARGIN]
        store.legs[i, a, MARGIN] = 0.0


@jit
def _take_off(world, store, i, a, closed, share):
    """Take what the venue closed off the leg, and remember what the next open owes to its spot leg."""
    legs = store.legs
    if share < 1.0:
        legs[i, a, PERP] -= closed
    else:
        legs[i, a, PERP], legs[i, a, ENTRY], legs[i, a, ACCRUED] = 0.0, 0.0, 0.0
    legs[i, a, LIQUIDATED] += 1.0
    after = world.codes[AFTER_LIQUIDATION]
    hedged = world.contract == INVERSE or legs[i, a, SPOT] != 0.0  # the coins of an inverse leg may all lie in its wallet
    if after == AFTER_NAKED or (after == AFTER_FLATTEN and not hedged):
        legs[i, a, PENDING] = PENDING_NONE
    else:
        legs[i, a, PENDING] = PENDING_FLATTEN if after == AFTER_FLATTEN else PENDING_REHEDGE


@jit
def release_wallet(world, store, out, i, wallet, worth):
    """After a liquidation: the venue bears what the wallet cannot, the rest returns to cash (inverse: to the free coins). worth: quote per unit of it."""
    rest = store.legs[i, wallet, MARGIN]
    if rest < 0.0:
        out.ledger[i, LIQUIDATION_LOSS] -= rest * worth
        rest = 0.0
    if world.contract == INVERSE:
        store.legs[i, wallet, SPOT] += rest
    else:
        store.account[i, CASH] += rest
    store.legs[i, wallet, MARGIN] = 0.0


@jit
def _valued(world, row, a, at_open):
    """Price up to which the perp P&L of leg a is booked: the last close before the orders of the bar, the perp open after them."""
    return world.bars[row - 1, a, MARK_CLOSE] if at_open else world.bars[row, a, PERP_OPEN]


@jit
def _worth(world, row, a, at_open):
    """Quote value of a unit of the wallet's currency: 1; of a coin the spot price up to which its profit is booked."""
    if world.contract == INVERSE:
        return world.bars[row - 1, a, SPOT_CLOSE] if at_open else world.bars[row, a, SPOT_OPEN]
    return 1.0


@jit
def _trigger(world, store, i, a, symbol, start, worst):
    """Mark price between `start` and `worst` at which leg a fails its own wallet's test; `start` where it fails there already."""
    legs = store.legs
    margin, size, entry = legs[i, a, MARGIN], legs[i, a, PERP], legs[i, a, ENTRY]
    if margin + leg_excess(world, store, i, a, symbol, start) <= 0.0:
        return start
    if world.codes[ENTRY_MARGIN] != 0:
        spare = margin - required_maintenance(world, symbol, size, entry, entry)
        if world.contract == INVERSE:
            price = size / (spare + size / entry)
        else:
            price = entry - spare / size
    elif world.contract == INVERSE:
        price = inverse_liquidation_price(margin, size, entry, world.tiers, symbol)
    else:
        price = liquidation_price(margin, size, entry, world.tiers, symbol)
    return min(max(price, min(start, worst)), max(start, worst))


@jit_rare
def _liquidate_leg(world, store, out, p, i, a, row, book, worst, at_open):
    """Close of leg a what the procedure asks, again and again until it passes its test at `worst` or is gone."""
    legs = store.legs
    symbol = world.symbols[book, a]
    price, first, failing = world.bars[row, a, MARK_OPEN], True, True
    while failing:
        price = _trigger(world, store, i, a, symbol, price, worst)
        size = legs[i, a, PERP]
        balance = legs[i, a, MARGIN] + profit_of(world.contract, size, legs[i, a, ENTRY], price)
        share = share_to_close(world, symbol, value_of(world.contract, size, price), balance, first)
        close_leg(world, store, out, p, i, a, a, row, book, price, at_open, share)
        first = False
        failing = share < 1.0 and legs[i, a, MARGIN] + leg_excess(world, store, i, a, symbol, worst) <= 0.0
    if legs[i, a, PERP] == 0.0:
        release_wallet(world, store, out, i, a, _worth(world, row, a, at_open))


@jit
def liquidate_isolated(world, store, out, p, i, row, book, at_open):
    """Test every leg against its own wallet, at the open or at the adverse extreme of mark."""
    legs = store.legs
    for a in range(legs.shape[1]):
        size = legs[i, a, PERP]
        if size == 0.0:
            continue
        worst = world.bars[row, a, MARK_OPEN] if at_open else adverse_extreme(world.bars, row, a, size)
        if legs[i, a, MARGIN] + leg_excess(world, store, i, a, world.symbols[book, a], worst) <= 0.0:
            _liquidate_leg(world, store, out, p, i, a, row, book, worst, at_open)


@jit
def _price_at(bars, row, a, size, way):
    """Mark of asset a at the share `way` of the path from the mark open to the adverse extreme of a signed size."""
    opened = bars[row, a, MARK_OPEN]
    return opened + way * (adverse_extreme(bars, row, a, size) - opened)


@jit
def _spot_at(world, row, a, size, price):
    """Spot price of asset a when its mark stands at `price`: it moves in proportion; without a position it stays at the open."""
    return world.bars[row, a, SPOT_OPEN] * (price / world.bars[row, a, MARK_OPEN] if size != 0.0 else 1.0)


@jit
def _cross_excess(world, store, i, row, book, way):
    """Margin above maintenance of the shared wallet when every leg stands at mark open + way x (adverse extreme - mark open).

    Portfolio: adjusted equity above 1.05 x maintenance; the spot price of an asset moves in proportion to its mark.
    """
    legs = store.legs
    portfolio = world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO
    if world.contract == INVERSE:
        return _coin_excess(world, store, i, row, book, way)
    excess = legs[i, 0, MARGIN]
    if portfolio:
        excess += store.account[i, CASH]
    for a in range(legs.shape[1]):
        size, symbol = legs[i, a, PERP], world.symbols[book, a]
        price = _price_at(world.bars, row, a, size, way)
        if size != 0.0:
            excess += leg_excess(world, store, i, a, symbol, price)
        if portfolio:
            excess += spot_collateral(legs[i, a, SPOT], _spot_at(world, row, a, size, price), rules_of(world.rules, symbol).haircut)
            if size != 0.0:
                excess -= (LIQUIDATION_RATIO - 1.0) * required_maintenance(world, symbol, size, legs[i, a, ENTRY], price)
    return excess


@jit
def _coin_excess(world, store, i, row, book, way):
    """`_cross_excess` of a portfolio of inverse contracts: cash and all coins after their haircut less 1.05 x maintenance at the spot price [quote]."""
    legs = store.legs
    excess = store.account[i, CASH]
    for a in range(legs.shape[1]):
        size, symbol = legs[i, a, PERP], world.symbols[book, a]
        price = _price_at(world.bars, row, a, size, way)
        spot = _spot_at(world, row, a, size, price)
        needed = required_maintenance(world, symbol, size, legs[i, a, ENTRY], price)
        excess += (
            spot_collateral(coins_of(store, i, a, price), spot, rules_of(world.rules, symbol).haircut) - LIQUIDATION_RATIO * needed * spot
        )
    return excess


@jit_rare
def _cross_trigger(world, store, i, row, book, start):
    """First share of the way, from `start` on, at which the shared wallet fails; the caller knows that it fails at 1."""
    if _cross_excess(world, store, i, row, book, start) <= 0.0:
        return start
    low, high = start, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if _cross_excess(world, store, i, row, book, middle) > 0.0:
            low = middle
        else:
            high = middle
    return high


@jit
def _wallet(world, a):
    """Index of the wallet through which leg a is closed: the shared one, or the asset's own coins."""
    return a if world.contract == INVERSE else 0


@jit_rare
def _reduce_cross(world, store, out, p, i, row, book, way, first, at_open):
    """Close a share of every leg whose procedure allows a partial liquidation; returns how many there were."""
    legs = store.legs
    count = 0
    for a in range(legs.shape[1]):
        size = legs[i, a, PERP]
        if size != 0.0:
            symbol, price = world.symbols[book, a], _price_at(world.bars, row, a, size, way)
            unit = _spot_at(world, row, a, size, price) if world.contract == INVERSE else 1.0
            balance = _cross_excess(world, store, i, row, book, way) / unit
            balance += required_maintenance(world, symbol, size, legs[i, a, ENTRY], price)
            share = share_to_close(world, symbol, value_of(world.contract, size, price), balance, first)
            if share < 1.0:
                close_leg(world, store, out, p, i, a, _wallet(world, a), row, book, price, at_open, share)
                count += 1
    return count


@jit_rare
def _liquidate_shared(world, store, out, p, i, row, book, at_open, end):
    """Close what the procedures ask at the first common failing point, again and again until the account passes its test at the share `end` of the way."""
    legs = store.legs
    way, first, failing = 0.0, True, True
    while failing:
        way = _cross_trigger(world, store, i, row, book, way)
        if _reduce_cross(world, store, out, p, i, row, book, way, first, at_open) == 0:
            for a in range(legs.shape[1]):
                size = legs[i, a, PERP]
                if size != 0.0:
                    price = _price_at(world.bars, row, a, size, way)
                    close_leg(world, store, out, p, i, a, _wallet(world, a), row, book, price, at_open, 1.0)
            if world.codes[MARGIN_MODE] == MARGIN_CROSS:
                release_wallet(world, store, out, i, 0, 1.0)
            failing = False
        first = False
        failing = failing and _cross_excess(world, store, i, row, book, end) <= 0.0
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        _empty_wallets(world, store, i)


@jit
def liquidate_cross(world, store, out, p, i, row, book, at_open):
    """Test the shared wallet, at the open or with every leg at its adverse extreme at once.

    Legs that can be reduced are reduced first, all at the same point; when none can, all legs are closed.
    """
    legs = store.legs
    positions = False
    for a in range(legs.shape[1]):
        positions = positions or legs[i, a, PERP] != 0.0
    end = 0.0 if at_open else 1.0
    if positions and _cross_excess(world, store, i, row, book, end) <= 0.0:
        _liquidate_shared(world, store, out, p, i, row, book, at_open, end)


@jit
def liquidate(world, store, out, p, i, row, book, at_open):
    """The margin test in the account's margin mode: at the mark open on what was held before the orders, or inside the bar on what is held after."""
    mode = world.codes[MARGIN_MODE]
    if mode == MARGIN_ISOLATED or (world.contract == INVERSE and mode == MARGIN_CROSS):
        liquidate_isolated(world, store, out, p, i, row, book, at_open)
    else:
        liquidate_cross(world, store, out, p, i, row, book, at_open)
