"""A venue that fails: what lies there is lost but for a share."""

from fundenv.compiler.jit import jit, jit_rare
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.legs import profit_of
from fundenv.dynamics.types import (
    ACCRUED,
    CASH,
    ENTRY,
    LIQUIDATION_LOSS,
    MARGIN,
    PENDING,
    PENDING_NONE,
    PERP,
    SENT,
    SENT_BARS,
    SPOT,
    TARGET_CARRY,
)
from fundenv.dynamics.wallets import wallet_of
from fundenv.market.layout import (
    FAILED,
    FAILED_SPOT,
    FAILED_WHOLE,
    HALTED,
    MARK_CLOSE,
    SPOT_CLOSE,
)


@jit
def _perp_fails(world, row, a):
    """Whether the venue of the perpetual of leg a fails at the open of bar `row`."""
    state = world.bars[row, a, HALTED]
    return state in (FAILED, FAILED_WHOLE)


@jit
def _coins_fail(world, row, a):
    """Whether the venue of the spot of leg a fails at the open of bar `row`."""
    state = world.bars[row, a, HALTED]
    return state in (FAILED_SPOT, FAILED_WHOLE)


@jit
def _close_at_mark(world, store, i, a, row, book):
    """Settle the perpetual of leg a at the last mark, into its wallet."""
    legs = store.legs
    legs[i, wallet_of(world, book, a), MARGIN] += profit_of(
        world.contract, legs[i, a, PERP], legs[i, a, ENTRY], world.bars[row - 1, a, MARK_CLOSE]
    )
    legs[i, a, PERP], legs[i, a, ENTRY], legs[i, a, ACCRUED] = 0.0, 0.0, 0.0
    legs[i, a, TARGET_CARRY], legs[i, a, PENDING] = 0.0, PENDING_NONE


@jit
def _pay_out(world, store, p, i, a):
    """What comes back of the wallet and of the money on its way there goes to cash; returns the
    loss [quote]. A wallet below 0 is owed as `deficit_share` says.
    """
    legs, sent = store.legs, store.displaced
    wallet, arriving = legs[i, a, MARGIN], max(sent[i, a, SENT], 0.0)
    lost = p.failure_loss * (max(wallet, 0.0) + arriving)
    lost += min(wallet, 0.0) * (1.0 - p.deficit_share)
    store.account[i, CASH] += wallet + arriving - lost
    legs[i, a, MARGIN] = 0.0
    if arriving > 0.0:
        sent[i, a, SENT], sent[i, a, SENT_BARS] = 0.0, 0.0
    return lost


@jit
def _wallet_fails(world, store, row, book, wallet):
    """Whether the venue of the wallet of this index fails; False where none has the index."""
    for a in range(wallet, store.legs.shape[1]):
        if _perp_fails(world, row, a) and wallet_of(world, book, a) == wallet:
            return True
    return False


@jit_rare
def fail_venues(world, store, out, p, i, row, book):
    """Book what is lost at the venues that fail at the open of bar `row`; returns it [quote]. Where
    the account's own venue fails, cash lies there too.
    """
    legs, lost, own = store.legs, 0.0, False
    cash = max(store.account[i, CASH], 0.0)
    for a in range(legs.shape[1]):
        rule = rules_of(world.rules, world.symbols[book, a])
        if _perp_fails(world, row, a):
            own = own or rule.perp_venue == 0.0
            _close_at_mark(world, store, i, a, row, book)
        own = own or (_coins_fail(world, row, a) and rule.spot_venue == 0.0)
    for a in range(legs.shape[1]):
        if _wallet_fails(world, store, row, book, a):
            lost += _pay_out(world, store, p, i, a)
        if _coins_fail(world, row, a) and legs[i, a, SPOT] > 0.0:
            coins = p.failure_loss * legs[i, a, SPOT]
            legs[i, a, SPOT] -= coins
            lost += coins * world.bars[row - 1, a, SPOT_CLOSE]
    if own:
        store.account[i, CASH] -= p.failure_loss * cash
        lost += p.failure_loss * cash
    out.ledger[i, LIQUIDATION_LOSS] -= lost
    return lost
