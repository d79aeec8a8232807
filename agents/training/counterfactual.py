"""All answers to every question: what an account would earn flat and at each leverage, on one path,
and what a chance is worth.

The market does not react, so accounts on the same path, one never invested and one always at each
leverage L (`agents.training.counterfactual_training`), show at every decision what the policy would
see and what every answer would pay. With its chances in these states the expected growth of a whole
episode is a formula,

    V_k(off) = e_k sum_L f_k(L) (H_k(L) - c(L)) + (1 - e_k) V_(k+1)(off)
    V_k(L)   = D_k(L) + h_k H_k(L) + l_k (V_(k+1)(off) - c(L)) + a_k sum_M g_k(M) (H_k(M) - |c(L) - c(M)| - t)
    H_k(L)   = G_k(L) + V_(k+1)(L), or V_(k+1)(off) instead where the leg at L is liquidated before the next decision

with e the chance to enter and f of the leverage then, h to hold, l to leave, a to order on while on
and g of the leverage then; G what a carry earns until the next decision (an account that enters now
is taken to earn what an account earns that has been on, whatever its drift), D the rate settled at this one, c
the cost of a trade, t what an order costs that changes nothing. Its gradient is exact: no action is
drawn, so the only noise left is that of the market. This is the policy gradient with all actions
counted (Sutton and Barto, Reinforcement Learning, 2nd ed., 13.3) on a market of 1 + L states.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
FLAT = 0
# thousandths of equity: what an order costs while on, apart from what it is meant to change; it
# trades the drift away as well
TOUCH = 0.05


class Tape(NamedTuple):
    """One episode of every environment: T decisions of n environments with A assets each, L
    leverages, S = 1 + L states; money in thousandths of equity.
    """

    obs: Array  # (S, T, n, D): seen by the flat account, seen by that invested at each leverage
    # (S, T, n) whether it is in the state it stands for; not after a liquidation or the episode's
    # end
    inside: NDArray[np.bool_]
    # (T, n, A, L) of being on from the decision to the next one, net of the cost of the capital and
    # of a liquidation
    gain: Array
    due: Array  # (T, n, A, L) rate settled at the decision on what was held before it
    # (T, n, A, L) whether a liquidation leaves the account flat at the next decision
    cut: NDArray[np.bool_]
    # (T, n, A) whether orders of the decision are filled; False after the end of an episode too
    free: NDArray[np.bool_]
    # (n, L) of entering or leaving; from one leverage to another the difference is traded
    cost: Array

    def part(self, index: NDArray[np.int64]) -> Tape:
        """The environments of `index`."""
        seen = self.obs[:, :, index], self.inside[:, :, index]
        return Tape(
            *seen,
            self.gain[:, index],
            self.due[:, index],
            self.cut[:, index],
            self.free[:, index],
            self.cost[index],
        )


class Chances(NamedTuple):
    """Of every answer in every state."""

    enter: Any  # (T, n, A) to go on from flat
    first: Any  # (T, n, A, L) of the leverage then
    hold: Any  # (T, n, A, L) to keep what is held at each leverage
    leave: Any  # (T, n, A, L) to go off
    again: Any  # (T, n, A, L) to order on while on
    then: Any  # (T, n, A, L, L) of the leverage then


class Values(NamedTuple):
    """Growth expected until the end of the episode, in thousandths."""

    off: Array  # (T + 1, n, A) before the decision, flat
    on: Array  # (T + 1, n, A, L) before the decision and what is settled at it, at each leverage
    held: Array  # (T, n, A, L) after the decision, on at each leverage
    into: Array  # (T, n, A) of entering
    moved: Array  # (T, n, A, L) of ordering on while on


def known(tape: Tape) -> NDArray[np.bool_]:
    """Where the answer of an invested account counts (T, n, A, L): orders are filled, and the
    account whose state is shown is invested.
    """
    return tape.free[..., None] & np.moveaxis(tape.inside[1:], 0, -1)[:, :, None]


def filled(chances: Chances, tape: Tape) -> Chances:
    """Where orders are not filled, or nobody shows what is seen, all is held."""
    open_ = known(tape)
    return chances._replace(
        enter=np.where(tape.free, chances.enter, 0),
        hold=np.where(open_, chances.hold, 1),
        leave=np.where(open_, chances.leave, 0),
        again=np.where(open_, chances.again, 0),
    )


def changes(cost: Array) -> Array:
    """Cost (n, 1, L, L) of an order while on, from one leverage to another."""
    return np.asarray(np.abs(cost[:, None, :, None] - cost[:, None, None, :]) + np.float32(TOUCH))


def values(chances: Chances, tape: Tape) -> Values:
    """The formula, from the last decision to the first; the chances as `filled` returns them."""
    cost, change = tape.cost[:, None], changes(tape.cost)
    steps, width = len(tape.gain), tape.gain.shape[1:]
    off, on = (
        np.zeros((steps + 1, *width[:-1]), np.float32),
        np.zeros((steps + 1, *width), np.float32),
    )
    held, moved, into = (
        np.zeros_like(tape.gain),
        np.zeros_like(tape.gain),
        np.zeros((steps, *width[:-1]), np.float32),
    )
    for k in range(steps - 1, -1, -1):
        out = off[k + 1][..., None]
        held[k] = tape.gain[k] + np.where(tape.cut[k], out, on[k + 1])
        into[k] = (chances.first[k] * (held[k] - cost)).sum(axis=-1)
        moved[k] = (chances.then[k] * (held[k][..., None, :] - change)).sum(axis=-1)
        off[k] = chances.enter[k] * into[k] + (1 - chances.enter[k]) * off[k + 1]
        on[k] = (
            tape.due[k]
            + chances.hold[k] * held[k]
            + chances.leave[k] * (out - cost)
            + chances.again[k] * moved[k]
        )
    return Values(off, on, held, into, moved)


def hindsight(tape: Tape) -> tuple[Array, Array]:
    """`off` and `on` of `Values` for the best answers to a path whose future is known."""
    steps, width = len(tape.gain), tape.gain.shape[1:]
    cost, change = tape.cost[:, None], changes(tape.cost)
    off, on = (
        np.zeros((steps + 1, *width[:-1]), np.float32),
        np.zeros((steps + 1, *width), np.float32),
    )
    for k in range(steps - 1, -1, -1):
        out, free = off[k + 1][..., None], tape.free[k][..., None]
        held = tape.gain[k] + np.where(tape.cut[k], out, on[k + 1])
        moved = (held[..., None, :] - change).max(axis=-1)
        off[k] = np.where(
            tape.free[k], np.maximum((held - cost).max(axis=-1), off[k + 1]), off[k + 1]
        )
        on[k] = tape.due[k] + np.where(free, np.maximum(np.maximum(held, out - cost), moved), held)
    return off, on


def levels(tape: Tape, worth: Values, shaped: bool) -> Array:
    """What every state is worth (S, T, n), in thousandths, sum over assets; shaped: less what
    hindsight would make of it.
    """
    off, on = hindsight(tape) if shaped else (0 * worth.off, 0 * worth.on)
    each = np.concatenate([(worth.off - off)[:-1][None], np.moveaxis((worth.on - on)[:-1], -1, 0)])
    return np.asarray(each.sum(axis=-1))


def merits(chances: Chances, tape: Tape, start: NDArray[Any]) -> tuple[Chances, float]:
    """(derivatives of the expected growth of the episode by every chance, that growth per
    decision): mean over environments, sum over assets.

    start (n, S): the chances to be flat and at each leverage when the episode begins.
    """
    chances = filled(chances, tape)
    worth, steps = values(chances, tape), len(tape.gain)
    out, inside = np.zeros_like(worth.off), np.zeros_like(worth.on)
    out[0], inside[0] = start[:, :1], start[:, None, 1:]
    for k in range(steps):
        now = (
            inside[k] * chances.hold[k] + (out[k] * chances.enter[k])[..., None] * chances.first[k]
        )
        now += ((inside[k] * chances.again[k])[..., None] * chances.then[k]).sum(axis=-2)
        out[k + 1] = (
            out[k] * (1 - chances.enter[k])
            + (inside[k] * chances.leave[k]).sum(axis=-1)
            + (now * tape.cut[k]).sum(axis=-1)
        )
        inside[k + 1] = np.where(tape.cut[k], 0, now)
    growth = (
        (out[0] * worth.off[0]).sum(axis=1) + (inside[0] * worth.on[0]).sum(axis=(1, 2))
    ).mean() / steps
    out, inside = out[:-1] * tape.free, inside[:-1] * known(tape)
    cost, later = tape.cost[:, None], worth.off[1:]
    return Chances(
        enter=out * (worth.into - later),
        first=(out * chances.enter)[..., None] * (worth.held - cost),
        hold=inside * worth.held,
        leave=inside * (later[..., None] - cost),
        again=inside * worth.moved,
        then=(inside * chances.again)[..., None] * (worth.held[..., None, :] - changes(tape.cost)),
    ), float(growth)
