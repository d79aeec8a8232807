"""Which wallet stands behind a leg, and how it is reached from cash."""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.types import (
    INVERSE,
    MARGIN_ISOLATED,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
    MIXED,
    PLACED,
    TRANSFER_BARS,
)
from fundenv.market.layout import FROZEN, FROZEN_SPOT, HALTED, TRADED


@jit
def wallet_of(world, book, a):
    """The leg in whose column MARGIN the wallet of leg a stands: a itself, or the first leg that
    shares the wallet, which is that of the account or, on several venues, of its venue.
    """
    mode = world.codes[MARGIN_MODE]
    if mode == MARGIN_ISOLATED or world.contract == INVERSE:
        return a
    if world.contract < PLACED or mode == MARGIN_PORTFOLIO:
        return 0
    rule = rules_of(world.rules, world.symbols[book, a])
    if world.contract == MIXED and rule.inverse != 0.0:
        return a
    venue = rule.perp_venue
    for b in range(a):
        if rules_of(world.rules, world.symbols[book, b]).perp_venue == venue:
            return b
    return a


@jit
def shares_wallet(world, book, a, wallet):
    """Whether the wallet of a mode in which legs share one, of index `wallet`, is that of leg a."""
    return world.contract < PLACED or wallet_of(world, book, a) == wallet


@jit
def wallet_places(world, assets):
    """Number of legs in whose columns a wallet that legs share may stand."""
    return assets if world.contract >= PLACED else 1


@jit
def _freezes_cash(world, row, a, book):
    """Whether leg a says that the venue of cash lets no money go in bar `row`."""
    state = world.bars[row, a, HALTED]
    if state >= TRADED:
        return False
    rule = rules_of(world.rules, world.symbols[book, a])
    return (state == FROZEN and rule.perp_venue == 0.0) or (
        state == FROZEN_SPOT and rule.spot_venue == 0.0
    )


@jit_rare
def _cash_frozen(world, row, book):
    """1 where the venue of cash lets no money go in bar `row`, else 0."""
    for a in range(world.symbols.shape[1]):
        if _freezes_cash(world, row, a, book):
            return 1.0
    return 0.0


@jit_rare
def _frozen(world, store, row, leg, book):
    """1 where the venue of a leg's wallet, or of cash, lets no money go in bar `row`, else 0."""
    wallet = wallet_of(world, book, leg)
    for a in range(store.legs.shape[1]):
        here = world.bars[row, a, HALTED] == FROZEN and wallet_of(world, book, a) == wallet
        if here or _freezes_cash(world, row, a, book):
            return 1.0
    return 0.0


@jit
def is_frozen(world, store, row, leg, book):
    """Whether a venue lets no money go between cash and the wallet of a leg in bar `row`."""
    return world.contract >= PLACED and _frozen(world, store, row, leg, book) != 0.0


@jit
def is_away(world, store, row, leg, book):
    """Whether no money moves at once between cash and the wallet of a leg in bar `row`: it travels,
    or a venue is frozen.
    """
    if world.contract < PLACED:
        return False
    there = rules_of(world.rules, world.symbols[book, leg]).perp_venue != 0.0
    travels = world.codes[TRANSFER_BARS] != 0 and there
    return travels or is_frozen(world, store, row, leg, book)


@jit
def is_stopped(world, row, a, book):
    """Whether no order of leg a fills in bar `row`: it has no price, or its coins lie on another
    venue than cash and one of the two is frozen: no cash gets there and none comes.
    """
    state = world.bars[row, a, HALTED]
    if state > TRADED:
        return True
    if world.contract < PLACED:
        return False
    rule = rules_of(world.rules, world.symbols[book, a])
    if rule.spot_venue == 0.0:
        return False
    here = state == FROZEN_SPOT or (state == FROZEN and rule.perp_venue == rule.spot_venue)
    return here or _cash_frozen(world, row, book) != 0.0
