"""The rules, on observations written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import agents
from agents.base import Agent
from fundenv.config import EnvConfig

SCALES = {"funding_last": 3.0, "funding_z": 1.0, "carry": 1.0, "net_carry": 0.5, "pending": 1.0}


def bound(agent: Agent, assets: int = 1) -> Agent:
    """The agent bound to an env that has nothing but a table of observations."""
    table = [
        SimpleNamespace(name=f"{a}:{name}" if assets > 1 else name, scale=scale) for a in range(assets) for name, scale in SCALES.items()
    ]
    config = EnvConfig(**agent.env_settings())
    agent.bind(SimpleNamespace(observation_table=table, config=config, market=SimpleNamespace(hash="none")))
    return agent


def observe(**raw: Any) -> NDArray[np.float32]:
    """Observations (n, 5) from raw values, each a number or n numbers."""
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(raw.get(name, 0.0), np.float32)) / scale for name, scale in SCALES.items()))
    return np.stack(columns, axis=1).astype(np.float32)


def hold(actions: NDArray[Any]) -> list[bool]:
    return [bool(flag > 0.5) for flag in actions[:, 0]]


def test_flat_closes_what_it_finds_and_then_holds() -> None:
    actions = bound(agents.make("flat")).act(observe(carry=[0.0, 0.7]))
    assert hold(actions) == [True, False]
    assert actions[1, 1] == 0.0


def test_carry_enters_when_flat_holds_afterwards_and_waits_for_a_pending_order() -> None:
    actions = bound(agents.make("carry", leverage=4)).act(observe(carry=[0.0, 0.98, 0.005, 0.0], pending=[0, 0, 0, 1]))
    assert hold(actions) == [False, True, False, True]  # 0.005 is dust
    assert actions[0].tolist() == [0.0, 1.0, 1.0, 4.0]


@pytest.mark.parametrize(
    ("z", "funding", "carry", "expected"),
    [
        # flat: only z >= 2.5 with positive funding enters
        (2.49, 5.0, 0.0, "hold"),
        (2.51, 5.0, 0.0, +1),
        (2.51, -1.0, 0.0, "hold"),
        (-3.0, -5.0, 0.0, "hold"),  # positive side only
        # invested: leave below 0.5, or when funding flips
        (0.51, 1.0, 1.0, "hold"),
        (0.49, 1.0, 1.0, 0),
        (2.0, -0.1, 1.0, 0),
        (2.6, 5.0, 0.97, "hold"),  # already there: the margin keeper does the rest
    ],
)
def test_zscore_enters_above_entry_and_leaves_below_exit_or_on_a_flip(z: float, funding: float, carry: float, expected: Any) -> None:
    action = bound(agents.make("zscore")).act(observe(funding_z=z, funding_last=funding, carry=carry))
    assert hold(action) == [expected == "hold"]
    if expected != "hold":
        assert action[0, 1] == expected


@pytest.mark.parametrize(
    ("z", "funding", "carry", "expected"),
    [
        (-2.51, -5.0, 0.0, -1),
        (-2.51, 1.0, 0.0, "hold"),  # below its mean, but still paid by the longs
        (-0.51, -1.0, -1.0, "hold"),
        (-0.49, -1.0, -1.0, 0),
        (-2.0, 0.1, -1.0, 0),  # flipped against a long perpetual
        (-2.6, -5.0, 1.0, -1),  # straight to the other side
    ],
)
def test_two_sided_zscore_is_the_mirror_image(z: float, funding: float, carry: float, expected: Any) -> None:
    action = bound(agents.make("zscore", two_sided=True)).act(observe(funding_z=z, funding_last=funding, carry=carry))
    assert hold(action) == [expected == "hold"]
    if expected != "hold":
        assert action[0, 1] == expected


def test_zscore_without_invalidation_sits_through_a_flip() -> None:
    action = bound(agents.make("zscore", invalidation=False)).act(observe(funding_z=2.0, funding_last=-1.0, carry=1.0))
    assert hold(action) == [True]


def test_each_asset_is_judged_on_its_own_column() -> None:
    agent = bound(agents.make("zscore"), assets=2)
    first = observe(funding_z=3.0, funding_last=2.0)
    second = observe(funding_z=0.1, funding_last=2.0, carry=1.0)
    actions = agent.act(np.concatenate([first, second], axis=1)).reshape(2, 4)
    assert actions[:, 0].tolist() == [0.0, 0.0]
    assert actions[:, 1].tolist() == [1.0, 0.0]
