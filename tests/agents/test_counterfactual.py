"""The exact gradient: it is the derivative of the expected growth over every sequence of states."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agents.training.counterfactual import (
    SAME_ORDER,
    Chances,
    Counterfactuals,
    changes,
    derivatives,
    filled,
    hindsight,
    state_values,
    values,
)

STEPS, LEVERAGES = 3, 2


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def record_of(rng: np.random.Generator) -> Counterfactuals:
    """Three decisions of one environment with one asset at two leverages; orders of the second are
    not filled, the first ends in a liquidation at the higher leverage, and at the third nobody
    shows what is seen at the lower one.
    """
    gain, due = rng.standard_normal((2, STEPS, 1, 1, LEVERAGES)).astype(np.float32)
    tradable, liquidated = (
        np.arange(STEPS)[:, None, None] != 1,
        np.zeros((STEPS, 1, 1, LEVERAGES), bool),
    )
    liquidated[0, ..., 1] = True
    states = 1 + LEVERAGES, STEPS, 1
    inside = np.ones(states, bool)
    inside[1, 2] = False
    return Counterfactuals(
        np.zeros((*states, 3), np.float32),
        inside,
        gain,
        due,
        liquidated,
        tradable,
        np.array([[0.6, 0.9]], np.float32),
    )


def chances_of(rng: np.random.Generator) -> Chances:
    def simplex(*shape: int) -> Any:
        drawn = rng.random(shape)
        return drawn / drawn.sum(axis=-1, keepdims=True)

    gates = simplex(STEPS, 1, 1, LEVERAGES, 3)
    return Chances(
        rng.random((STEPS, 1, 1)),
        simplex(STEPS, 1, 1, LEVERAGES),
        *np.moveaxis(gates, -1, 0),
        simplex(STEPS, 1, 1, LEVERAGES, LEVERAGES),
    )


def enumerated(chances: Chances, record: Counterfactuals, start: int) -> float:
    """Expected growth by playing all sequences of answers, each with its chance; 0 is flat, 1 + j
    on at the j-th leverage.
    """
    total, cost = 0.0, record.cost[0]
    # 0 hold, 1 off, 2 + j on at the j-th leverage
    for sequence in itertools.product(range(2 + LEVERAGES), repeat=STEPS):
        chance, growth, state = 1.0, 0.0, start
        for k, answer in enumerate(sequence):
            at = k, 0, 0
            growth += record.due[at][state - 1] if state else 0.0
            if not record.tradable[at] or not record.inside[state, k, 0]:
                chance *= answer == 0
            elif answer >= 2:
                lever = answer - 2
                chance *= (
                    chances.again[at][state - 1] * chances.then[at][state - 1, lever]
                    if state
                    else chances.enter[at] * chances.first[at][lever]
                )
                growth -= abs(cost[lever] - cost[state - 1]) + SAME_ORDER if state else cost[lever]
                state = 1 + lever
            elif state:
                chance *= chances.leave[at][state - 1] if answer else chances.hold[at][state - 1]
                growth -= cost[state - 1] * answer
                state *= 1 - answer
            else:
                chance *= (1 - chances.enter[at]) / 2  # hold and off do the same in a flat account
            if state:
                growth += record.gain[at][state - 1]
                state *= not record.liquidated[at][state - 1]
        total += chance * growth
    return total


def moves(chances: Chances) -> Iterator[Any]:
    """((chance that grows, chance that shrinks), where): number of the field and last indices;
    chances that belong together keep their sum.
    """
    for at in np.ndindex(chances.enter.shape):
        yield ((0, ()), None), at
        yield ((1, (0,)), (1, (1,))), at
        for lever in range(LEVERAGES):
            for gate in (3, 4):
                yield ((gate, (lever,)), (2, (lever,))), at
            yield ((5, (lever, 0)), (5, (lever, 1))), at


@pytest.mark.parametrize("start", [0, 1, 2])
def test_merits_are_the_derivatives_of_the_growth_over_all_sequences(
    rng: np.random.Generator, start: int
) -> None:
    record, chances = record_of(rng), chances_of(rng)
    begun = np.eye(1 + LEVERAGES)[[start]]
    worth, growth = derivatives(chances, record, begun)
    assert growth * STEPS == pytest.approx(enumerated(chances, record, start), abs=1e-5)
    for (plus, minus), at in moves(chances):
        moved = [each.copy() for each in chances]
        moved[plus[0]][at + plus[1]] += 1e-3
        gained = worth[plus[0]][at + plus[1]]
        if minus is not None:
            moved[minus[0]][at + minus[1]] -= 1e-3
            gained -= worth[minus[0]][at + minus[1]]
        slope = (
            enumerated(Chances(*moved), record, start) - enumerated(chances, record, start)
        ) / 1e-3
        assert gained == pytest.approx(slope, abs=1e-3), (plus, minus, at)
    assert max(np.abs(merit).max() for merit in worth) > 0.05  # or the comparison says little


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hindsight_is_the_best_of_all_schedules_and_the_level_is_what_it_leaves(seed: int) -> None:
    """Every schedule of certain answers of the path, from flat: its value is the enumerated one,
    the best of them is hindsight.
    """
    record, every = record_of(np.random.default_rng(seed)), []
    # 0 hold, 1 off, 2 + j on at the j-th leverage, in whatever state
    for answers in itertools.product(range(2 + LEVERAGES), repeat=STEPS):
        said = np.array(answers)[:, None, None]
        on, lever = (said >= 2).astype(float), np.eye(LEVERAGES)[np.maximum(said - 2, 0)]
        wide = [
            np.repeat(each[..., None], LEVERAGES, axis=-1)
            for each in ((said == 0).astype(float), (said == 1).astype(float), on)
        ]
        sure = Chances(on, lever, *wide, np.repeat(lever[..., None, :], LEVERAGES, axis=-2))
        worth = values(filled(sure, record), record)
        every.append(float(worth.off[0, 0, 0]))
        assert every[-1] == pytest.approx(enumerated(sure, record, 0), abs=1e-5)
        assert (state_values(record, worth, True) < 1e-5).all()
        np.testing.assert_allclose(
            state_values(record, worth, False)[0, :, :, ...], worth.off[:-1, :, 0]
        )
    off, on_ = hindsight(record)
    assert off[0, 0, 0] == pytest.approx(max(every), abs=1e-5)
    assert off[0, 0, 0] > 0.1  # or staying out is best, and that says little
    assert on_.shape == (STEPS + 1, 1, 1, LEVERAGES)


def test_an_order_while_on_trades_the_difference_and_the_drift() -> None:
    np.testing.assert_allclose(
        changes(np.array([[0.6, 0.9]], np.float32))[0, 0],
        [[SAME_ORDER, 0.3 + SAME_ORDER], [0.3 + SAME_ORDER, SAME_ORDER]],
        atol=1e-6,
    )
