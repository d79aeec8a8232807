"""The expected growth of a policy as a formula: the gains of an account on one path, flat and at
each leverage, and the derivative by each probability of the policy.

The market does not react to orders. So accounts on one path, one never invested and one always at
each leverage L (`agents.training.counterfactual_accounts`), give at every decision the observations
of the policy in each state and the payoff of each action. With the probabilities of the policy in
these states, the expected growth of a whole episode is

    V_k(off) = e_k sum_L f_k(L) (H_k(L) - c(L)) + (1 - e_k) V_(k+1)(off)
    V_k(L)   = D_k(L) + h_k H_k(L) + l_k (V_(k+1)(off) - c(L))
               + a_k sum_M g_k(M) (H_k(M) - |c(L) - c(M)| - t)
    H_k(L)   = G_k(L) + V_(k+1)(L)
               G_k(L) + V_(k+1)(off) where the leg at L is liquidated before the next decision

e: probability to enter, f: of each leverage then; h: to hold; l: to leave; a: to order again while
invested, g: of each leverage then. G: what a carry earns until the next decision, for an account
that enters now the same as for one invested before (drift is ignored). D: the rate settled at this
decision. c: cost of a trade. t: cost of an order that changes nothing.

The gradient is exact: no action is drawn, so the only noise left is that of the market. It is the
policy gradient summed over all actions (Sutton and Barto, Reinforcement Learning, 2nd ed., 13.3) on
a market of 1 + L states.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
FLAT = 0
# Cost of an order that keeps the leverage, in thousandths of equity: it trades only the drift.
SAME_ORDER = 0.05


class Counterfactuals(NamedTuple):
    """One episode of every environment: T decisions of n environments with A assets each, L
    leverages, S = 1 + L states; money in thousandths of equity.
    """

    obs: Array  # (S, T, n, D) of the flat account, then of the account at each leverage
    # (S, T, n) whether the account is in its state; False after a liquidation or the episode's end
    inside: NDArray[np.bool_]
    # (T, n, A, L) of being invested until the next decision, net of cost of capital and liquidation
    gain: Array
    due: Array  # (T, n, A, L) settled at the decision, on what was held before it
    # (T, n, A, L) whether a liquidation leaves the account flat at the next decision
    liquidated: NDArray[np.bool_]
    # (T, n, A) whether orders of the decision are filled; False also after the episode's end
    tradable: NDArray[np.bool_]
    # (n, L) of entering or leaving; a change of leverage costs the difference
    cost: Array

    def part(self, index: NDArray[np.int64]) -> Counterfactuals:
        """The environments of `index`."""
        seen = self.obs[:, :, index], self.inside[:, :, index]
        return Counterfactuals(
            *seen,
            self.gain[:, index],
            self.due[:, index],
            self.liquidated[:, index],
            self.tradable[:, index],
            self.cost[index],
        )


class Chances(NamedTuple):
    """Probabilities of the policy: of every action in every state."""

    enter: Any  # (T, n, A) flat: to enter
    first: Any  # (T, n, A, L) of each leverage at an entry
    hold: Any  # (T, n, A, L) invested at each leverage: to hold
    leave: Any  # (T, n, A, L) to leave
    again: Any  # (T, n, A, L) to order full carry again
    then: Any  # (T, n, A, L, L) of each leverage at such an order


class Values(NamedTuple):
    """Growth expected until the end of the episode, in thousandths."""

    off: Array  # (T + 1, n, A) before the decision, flat
    on: Array  # (T + 1, n, A, L) before the decision and its settlement, invested at each leverage
    held: Array  # (T, n, A, L) after the decision, invested at each leverage
    into: Array  # (T, n, A) of an entry
    moved: Array  # (T, n, A, L) of an order while invested


def known(record: Counterfactuals) -> NDArray[np.bool_]:
    """(T, n, A, L) whether the action of an invested account has an effect: orders are filled, and
    the account of that leverage is invested.
    """
    return record.tradable[..., None] & np.moveaxis(record.inside[1:], 0, -1)[:, :, None]


def filled(chances: Chances, record: Counterfactuals) -> Chances:
    """The chances, with `hold` where orders are not filled or no account is in the state."""
    open_ = known(record)
    return chances._replace(
        enter=np.where(record.tradable, chances.enter, 0),
        hold=np.where(open_, chances.hold, 1),
        leave=np.where(open_, chances.leave, 0),
        again=np.where(open_, chances.again, 0),
    )


def changes(cost: Array) -> Array:
    """Cost (n, 1, L, L) of an order of an invested account, from one leverage to another."""
    return np.asarray(
        np.abs(cost[:, None, :, None] - cost[:, None, None, :]) + np.float32(SAME_ORDER)
    )


def values(chances: Chances, record: Counterfactuals) -> Values:
    """The formula, from the last decision to the first; the chances as `filled` returns them."""
    enter, first, hold, leave, again, then = map(_rows, chances)
    gain, due, liquidated = map(_rows, (record.gain, record.due, record.liquidated))
    cost, change = record.cost.T, np.moveaxis(changes(record.cost), 0, -1)
    off, on = (np.zeros((len(e) + 1, *e.shape[1:]), np.float32) for e in (enter, gain))
    held, moved, into = (np.zeros(e.shape, np.float32) for e in (gain, gain, enter))
    stay, add = 1 - enter, np.add
    for k in range(len(gain) - 1, -1, -1):
        later, here = off[k + 1], held[k]
        out = later[:, None]
        add(gain[k], np.where(liquidated[k], out, on[k + 1]), out=here)
        add.reduce(first[k] * (here - cost), axis=1, out=into[k])
        add.reduce(then[k] * (here[:, None] - change), axis=2, out=moved[k])
        add(enter[k] * into[k], stay[k] * later, out=off[k])
        worth = due[k] + hold[k] * here
        worth += leave[k] * (out - cost)
        add(worth, again[k] * moved[k], out=on[k])
    return Values(*(np.moveaxis(each, -1, 1) for each in (off, on, held, into, moved)))


def _rows(array: NDArray[Any]) -> NDArray[Any]:
    """(T, n, ..) as (T, .., n), float32: each step of a loop over T is then quick."""
    kind = bool if array.dtype == bool else np.float32
    return np.ascontiguousarray(np.moveaxis(array, 1, -1), kind)


def hindsight(record: Counterfactuals) -> tuple[Array, Array]:
    """`off` and `on` of `Values` for the best actions on a path whose future is known."""
    steps, width = len(record.gain), record.gain.shape[1:]
    cost, change = record.cost[:, None], changes(record.cost)
    off, on = (
        np.zeros((steps + 1, *width[:-1]), np.float32),
        np.zeros((steps + 1, *width), np.float32),
    )
    for k in range(steps - 1, -1, -1):
        out, tradable = off[k + 1][..., None], record.tradable[k][..., None]
        held = record.gain[k] + np.where(record.liquidated[k], out, on[k + 1])
        moved = (held[..., None, :] - change).max(axis=-1)
        off[k] = np.where(
            record.tradable[k], np.maximum((held - cost).max(axis=-1), off[k + 1]), off[k + 1]
        )
        on[k] = record.due[k] + np.where(
            tradable, np.maximum(np.maximum(held, out - cost), moved), held
        )
    return off, on


def state_values(record: Counterfactuals, worth: Values, shaped: bool) -> Array:
    """Value of every state (S, T, n), in thousandths, sum over assets; `shaped`: less the value
    with hindsight.
    """
    off, on = hindsight(record) if shaped else (0 * worth.off, 0 * worth.on)
    each = np.concatenate([(worth.off - off)[:-1][None], np.moveaxis((worth.on - on)[:-1], -1, 0)])
    return np.asarray(each.sum(axis=-1))


def derivatives(
    chances: Chances, record: Counterfactuals, start: NDArray[Any]
) -> tuple[Chances, float]:
    """(derivatives of the expected growth of the episode by every chance, that growth per
    decision): mean over environments, sum over assets.

    start (n, S): the chances to be flat and at each leverage when the episode begins.
    """
    chances = filled(chances, record)
    worth, liquidated = values(chances, record), _rows(record.liquidated)
    enter, first, hold, leave, again, then = map(_rows, chances)
    stay, add = 1 - enter, np.add
    outside, invested = (
        np.zeros((len(e) + 1, *e.shape[1:]), np.float32) for e in (enter, liquidated)
    )
    outside[0], invested[0] = start[:, 0], start[:, 1:].T
    for k in range(len(enter)):
        flat, was = outside[k], invested[k]
        now = was * hold[k]
        now += (flat * enter[k])[:, None] * first[k]
        now += add.reduce((was * again[k])[:, :, None] * then[k], axis=1)
        kept = flat * stay[k]
        kept += add.reduce(was * leave[k], axis=1)
        add(kept, add.reduce(now * liquidated[k], axis=1), out=outside[k + 1])
        np.copyto(invested[k + 1], now, where=~liquidated[k])
    out, inside, steps = np.moveaxis(outside, -1, 1), np.moveaxis(invested, -1, 1), len(enter)
    growth = (
        (out[0] * worth.off[0]).sum(axis=1) + (inside[0] * worth.on[0]).sum(axis=(1, 2))
    ).mean() / steps
    out, inside = out[:-1] * record.tradable, inside[:-1] * known(record)
    cost, later = record.cost[:, None], worth.off[1:]
    return Chances(
        enter=out * (worth.into - later),
        first=(out * chances.enter)[..., None] * (worth.held - cost),
        hold=inside * worth.held,
        leave=inside * (later[..., None] - cost),
        again=inside * worth.moved,
        then=(inside * chances.again)[..., None]
        * (worth.held[..., None, :] - changes(record.cost)),
    ), float(growth)
