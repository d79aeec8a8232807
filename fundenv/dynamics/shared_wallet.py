"""The margin test of all legs together, in cross and portfolio mode, and what the venue does when
it fails.
"""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.close_position import (
    adverse_extreme,
    close_leg,
    empty_wallets,
    gap_price,
    leg_excess,
    release_wallet,
    share_to_close,
)
from fundenv.dynamics.holdings import coins_of
from fundenv.dynamics.kinds import is_inverse, of_leg
from fundenv.dynamics.legs import value_of
from fundenv.dynamics.margin import required_maintenance
from fundenv.dynamics.types import (
    CASH,
    ENTRY,
    INVERSE,
    MARGIN,
    MARGIN_CROSS,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    MIXED,
    PERP,
    SPOT,
)
from fundenv.dynamics.wallets import shares_wallet, wallet_of, wallet_places
from fundenv.formulas.collateral import LIQUIDATION_RATIO, spot_collateral
from fundenv.market.layout import MARK_OPEN, SPOT_OPEN

_BISECTIONS = 60


@jit
def _price_at(bars, row, a, size, way):
    """Mark of asset a at the share `way` of the path from the mark open to the adverse extreme of a
    signed size.
    """
    opened = bars[row, a, MARK_OPEN]
    return opened + way * (adverse_extreme(bars, row, a, size) - opened)


@jit
def _spot_at(world, row, a, size, price):
    """Spot price of asset a when its mark stands at `price`: it moves in proportion; without a
    position it stays at the open.
    """
    return world.bars[row, a, SPOT_OPEN] * (
        price / world.bars[row, a, MARK_OPEN] if size != 0.0 else 1.0
    )


@jit
def _cross_excess(world, store, i, row, book, wallet, way):
    """Margin above maintenance of a shared wallet when every leg of it stands at mark open + way x
    (adverse extreme - mark open).

    Portfolio: adjusted equity above 1.05 x maintenance; the spot price of an asset moves in
    proportion to its mark.
    """
    legs = store.legs
    portfolio = world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO
    if world.contract == INVERSE:
        return _coin_excess(world, store, i, row, book, way)
    excess = legs[i, wallet, MARGIN]
    if portfolio:
        excess += store.account[i, CASH]
    for a in range(legs.shape[1]):
        if not shares_wallet(world, book, a, wallet):
            continue
        size, symbol = legs[i, a, PERP], world.symbols[book, a]
        price = _price_at(world.bars, row, a, size, way)
        if size != 0.0:
            excess += leg_excess(of_leg(world, book, a), store, i, a, symbol, price)
        if portfolio:
            excess += spot_collateral(
                legs[i, a, SPOT],
                _spot_at(world, row, a, size, price),
                rules_of(world.rules, symbol).collateral_rate,
            )
            if size != 0.0:
                excess -= (LIQUIDATION_RATIO - 1.0) * required_maintenance(
                    world, symbol, size, legs[i, a, ENTRY], price
                )
    return excess


@jit
def _coin_excess(world, store, i, row, book, way):
    """`_cross_excess` of a portfolio of inverse contracts: cash and all coins, at their collateral
    rates, less 1.05 x maintenance at the spot price [quote].
    """
    legs = store.legs
    excess = store.account[i, CASH]
    for a in range(legs.shape[1]):
        size, symbol = legs[i, a, PERP], world.symbols[book, a]
        price = _price_at(world.bars, row, a, size, way)
        spot = _spot_at(world, row, a, size, price)
        needed = required_maintenance(world, symbol, size, legs[i, a, ENTRY], price)
        excess += (
            spot_collateral(
                coins_of(store, i, a, price), spot, rules_of(world.rules, symbol).collateral_rate
            )
            - LIQUIDATION_RATIO * needed * spot
        )
    return excess


@jit_rare
def _cross_trigger(world, store, i, row, book, wallet, start):
    """First share of the way, from `start` on, at which the shared wallet fails; the caller knows
    that it fails at 1.
    """
    if _cross_excess(world, store, i, row, book, wallet, start) <= 0.0:
        return start
    low, high = start, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if _cross_excess(world, store, i, row, book, wallet, middle) > 0.0:
            low = middle
        else:
            high = middle
    return high


@jit_rare
def _close_at(world, store, out, p, i, a, row, book, way, at_open, end, share):
    """Close a share of leg a, whose account fails its test at the share `way` of the path, beyond
    that on the path to the share `end`.
    """
    size = store.legs[i, a, PERP]
    price = _price_at(world.bars, row, a, size, way)
    filled = gap_price(p, price, _price_at(world.bars, row, a, size, end))
    wallet = wallet_of(world, book, a)
    own = of_leg(world, book, a)
    close_leg(own, store, out, p, i, a, wallet, row, book, price, filled, at_open, share)


@jit_rare
def _reduce_cross(world, store, out, p, i, row, book, wallet, way, first, at_open, end):
    """Close a share of every leg of a wallet whose procedure allows a partial liquidation; returns
    how many there were.
    """
    legs = store.legs
    count = 0
    for a in range(legs.shape[1]):
        size = legs[i, a, PERP]
        if size != 0.0 and shares_wallet(world, book, a, wallet):
            symbol, price = world.symbols[book, a], _price_at(world.bars, row, a, size, way)
            unit = _spot_at(world, row, a, size, price) if world.contract == INVERSE else 1.0
            balance = _cross_excess(world, store, i, row, book, wallet, way) / unit
            own = of_leg(world, book, a)
            balance += required_maintenance(own, symbol, size, legs[i, a, ENTRY], price)
            share = share_to_close(
                world, symbol, value_of(own.contract, size, price), balance, first
            )
            if share < 1.0:
                _close_at(world, store, out, p, i, a, row, book, way, at_open, end, share)
                count += 1
    return count


@jit_rare
def _liquidate_shared(world, store, out, p, i, row, book, wallet, at_open, end):
    """Close what the procedures ask at the first common failing point, again and again until the
    account passes its test at the share `end` of the way.
    """
    legs = store.legs
    way, first, failing = 0.0, True, True
    while failing:
        way = _cross_trigger(world, store, i, row, book, wallet, way)
        reduced = _reduce_cross(
            world, store, out, p, i, row, book, wallet, way, first, at_open, end
        )
        if reduced == 0:
            for a in range(legs.shape[1]):
                if legs[i, a, PERP] != 0.0 and shares_wallet(world, book, a, wallet):
                    _close_at(world, store, out, p, i, a, row, book, way, at_open, end, 1.0)
            if world.codes[MARGIN_MODE] == MARGIN_CROSS:
                release_wallet(world, store, out, p, i, row, wallet, 1.0)
            failing = False
        first = False
        failing = failing and _cross_excess(world, store, i, row, book, wallet, end) <= 0.0
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        empty_wallets(world, store, i)


@jit
def liquidate_cross(world, store, out, p, i, row, book, at_open):
    """Test every shared wallet, at the open or with every leg at its adverse extreme at once.

    Legs that can be reduced are reduced first, all at the same point; when none can, all legs of
    the wallet are closed.
    """
    legs = store.legs
    end = 0.0 if at_open else 1.0
    for wallet in range(wallet_places(world, legs.shape[1])):
        if world.contract == MIXED and is_inverse(world, book, wallet):
            continue
        positions = False
        for a in range(legs.shape[1]):
            positions = positions or (
                legs[i, a, PERP] != 0.0 and shares_wallet(world, book, a, wallet)
            )
        if positions and _cross_excess(world, store, i, row, book, wallet, end) <= 0.0:
            _liquidate_shared(world, store, out, p, i, row, book, wallet, at_open, end)
