"""The step of `LANES` environments side by side, which the compiler turns into vector instructions.

Environments stand in lanes, and each is stepped by the scalar rules on a draft: a copy of its state
in local variables. Settings that a batch of the usual kind has are constants here, so that no
branch and no loop is left but those that a vector can take as a choice. A rare rule (`jit_rare`)
does not run on a draft; an environment that meets one is a fallback, stepped again by the plain
loop. Both give the same bits.

`step_lanes` is the whole step of one bar. Where a decision lasts longer it is the first bar of it;
`bar_lanes` takes the others, one by one, each only as far as it holds no order (`jit_order`), and
`end_lanes` closes the step.
"""

from __future__ import annotations

from fundenv.batch.simd.draft import (
    AT_LEDGER,
    AT_LEG,
    AT_NEEDS_FALLBACK,
    AT_TERMINATED,
    AT_TRADES,
    N_AFTER,
    N_ASKED,
    N_BARS,
    N_BEFORE,
    N_FACTS,
    N_LEDGER,
    N_PARAMS,
    N_SEEN,
    N_TERMS,
    N_TRADE,
    draft_between,
    draft_of,
    is_within,
    out_of,
    store_end,
    store_state,
    world_of,
)
from fundenv.compiler.jit import jit_lanes, jit_outer
from fundenv.compiler.memory import LANES, fixed, local_f8
from fundenv.dynamics import types as t
from fundenv.dynamics.access import params_of
from fundenv.dynamics.observation import observe
from fundenv.dynamics.step import end_step, step_bar, step_one
from fundenv.market.layout import N_COLUMNS


@jit_outer
def _market(bars, features, facts):
    """The rows of the market and the rules of the symbols, with their shapes as constants."""
    return (
        fixed(bars, (N_COLUMNS, LANES)),
        fixed(features, (1, N_BARS, LANES)),
        fixed(facts, (N_FACTS, LANES)),
    )


@jit_outer
def _counts(decided, left, seen):
    """Decisions, rows left and observations of the lanes, with their shapes as constants."""
    return fixed(decided, (LANES,)), fixed(left, (LANES,)), fixed(seen, (N_SEEN, LANES))


@jit_outer
def _step_each(
    world,
    params,
    terms,
    scale,
    bars,
    features,
    facts,
    asked,
    before,
    decided,
    left,
    after,
    seen,
    may_hold,
):
    """The body of `step_lanes`; may_hold: a constant."""
    bars, features, facts = _market(bars, features, facts)
    asked, before, after = (
        fixed(asked, (N_ASKED, LANES)),
        fixed(before, (N_BEFORE, LANES)),
        fixed(after, (N_AFTER, LANES)),
    )
    decided, left, seen = _counts(decided, left, seen)
    params, terms = fixed(params, (1, N_PARAMS)), fixed(terms, (N_TERMS, LANES))
    for lane in range(LANES):
        own, draft, out = (
            world_of(world, bars, features, facts, scale, 1, lane),
            draft_of(params, terms, before, decided, left, lane),
            out_of(params),
        )
        action = local_f8((1, N_ASKED))
        action[0, 0] = asked[0, lane] if may_hold else 0.0
        for c in range(1, N_ASKED):
            action[0, c] = asked[c, lane]
        step_one(own, draft, out, action, 0)
        draft.account[0, t.EPISODE_REWARD] += out.reward[0]
        observe(own, draft, out.obs, 0)
        held, kept = before[AT_LEG + t.PERP, lane], draft.legs[0, 0, t.PERP]
        size = max(max(abs(held), abs(kept)), abs(held + out.trades[0, 0, t.REQUESTED_PERP]))
        # the sign of a NaN, which lots ask for, is not the same in a vector
        equity = before[t.EQUITY, lane] + draft.account[0, t.EQUITY]
        needs_fallback = draft.needs_fallback[0] or not is_within(bars, facts, size, equity, lane)
        for c in range(N_TRADE):
            after[AT_TRADES + c, lane] = out.trades[0, 0, c]
        store_end(draft, out, after, seen, needs_fallback, lane)


@jit_lanes
def step_lanes(
    world, params, terms, scale, bars, features, facts, asked, before, decided, left, after, seen
):
    """Step every lane by one decision of one bar: reads (columns, LANES) arrays up to `before`,
    writes `after` and `seen`.

    terms (N_TERMS, LANES), bars (N_COLUMNS, LANES), features (1, N_BARS, LANES), scale: of that
    feature; asked (N_ASKED, LANES): what `action.decode` returns; decided (LANES,): decisions taken
    before; left (LANES,): rows from the one that closed last to the last one of the path.
    """
    _step_each(
        world,
        params,
        terms,
        scale,
        bars,
        features,
        facts,
        asked,
        before,
        decided,
        left,
        after,
        seen,
        True,
    )


@jit_lanes
def turn_lanes(
    world, params, terms, scale, bars, features, facts, asked, before, decided, left, after, seen
):
    """`step_lanes` where no action holds: without the choice a fifth is saved."""
    _step_each(
        world,
        params,
        terms,
        scale,
        bars,
        features,
        facts,
        asked,
        before,
        decided,
        left,
        after,
        seen,
        False,
    )


@jit_lanes
def bar_lanes(world, params, terms, scale, bars, features, facts, held, moved):
    """Move every lane on by one bar without a decision: from `held` to `moved`, columns of `after`
    both; the trades of the step stay where they are.

    A lane that is ruined is a fallback in the bar after it: the plain loop ends its step there.
    """
    bars, features, facts = _market(bars, features, facts)
    held, moved, params = (
        fixed(held, (N_AFTER, LANES)),
        fixed(moved, (N_AFTER, LANES)),
        fixed(params, (1, N_PARAMS)),
    )
    terms = fixed(terms, (N_TERMS, LANES))
    for lane in range(LANES):
        own, draft, out = (
            world_of(world, bars, features, facts, scale, 1, lane),
            draft_between(params, terms, held, lane),
            out_of(params),
        )
        for c in range(N_LEDGER):
            out.ledger[0, c] = held[AT_LEDGER + c, lane]
        p = params_of(draft.params, 0)
        equity = step_bar(own, draft, out, p, local_f8((1, N_ASKED)), 0, 1, 0, 0, False)
        store_state(draft, out, moved, lane)
        within = is_within(bars, facts, abs(held[AT_LEG + t.PERP, lane]), equity, lane)
        moved[AT_NEEDS_FALLBACK, lane] = 1.0 if draft.needs_fallback[0] or not within else 0.0
        moved[AT_TERMINATED, lane] = 1.0 if equity <= p.ruin_fraction * p.initial_equity else 0.0


@jit_lanes
def end_lanes(
    world,
    params,
    terms,
    scale,
    bars,
    features,
    facts,
    before,
    held,
    decided,
    left,
    count,
    after,
    seen,
):
    """Close the step of `count` bars that `before` began and whose last bar, of which `bars` and
    `features` are, gave `held`.

    left: as for `step_lanes`. Writes `after`, but for its trades, and `seen`.
    """
    bars, features, facts = _market(bars, features, facts)
    before, held, after = (
        fixed(before, (N_BEFORE, LANES)),
        fixed(held, (N_AFTER, LANES)),
        fixed(after, (N_AFTER, LANES)),
    )
    decided, left, seen = _counts(decided, left, seen)
    params, terms = fixed(params, (1, N_PARAMS)), fixed(terms, (N_TERMS, LANES))
    for lane in range(LANES):
        own, draft, out = (
            world_of(world, bars, features, facts, scale, count, lane),
            draft_between(params, terms, held, lane),
            out_of(params),
        )
        for c in range(N_LEDGER):
            out.ledger[0, c] = held[AT_LEDGER + c, lane]
        for c in (t.EQUITY_PEAK, t.EPISODE_REWARD):
            draft.account[0, c] = before[c, lane]
        draft.episode[0, t.LAST_ROW], draft.episode[0, t.DECISION] = (
            left[lane] - (count - 1),
            decided[lane],
        )
        end_step(
            own,
            draft,
            out,
            params_of(draft.params, 0),
            0,
            1,
            count,
            before[t.EQUITY, lane],
            draft.account[0, t.EQUITY],
        )
        draft.account[0, t.EPISODE_REWARD] += out.reward[0]
        observe(own, draft, out.obs, 0)
        store_end(draft, out, after, seen, draft.needs_fallback[0], lane)
