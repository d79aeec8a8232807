"""The check of a saved state before compiled code goes on from it. See `fundenv.batch.gate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fundenv.batch.gate import LARGEST, shown
from fundenv.config import ConfigError
from fundenv.dynamics import types as t


def check_state(
    state: Any, held: Mapping[str, Any], facts: Mapping[str, Any], world: t.World
) -> None:
    """Raise `ConfigError` unless `state` is one of a batch of this market and these settings: it is
    `of` the same `facts`, its arrays stand beside `held`, and its episodes lie on the paths of
    `world`. Trainings saved before states named what they are `of` have no such entry: theirs are
    held against the arrays and the paths alone.
    """
    if not isinstance(state, Mapping):
        raise ConfigError(f"the state is {shown(state)}; expected what Batch.state() returned")
    of = state.get("of", facts)
    for name in (*held, "seeded"):
        if name not in state or not isinstance(of, Mapping):
            raise ConfigError(
                f"the state has no {name if isinstance(of, Mapping) else 'of'!r}; expected what"
                " Batch.state() returned"
            )
    for name, own in facts.items():
        other = of.get(name)
        if repr(other) != repr(own):
            raise ConfigError(
                f"the state is of a batch with {name} = {shown(other)}, this one has"
                f" {shown(own)}; build it with the same market and settings"
            )
    for name, array in held.items():
        _check_array(name, state[name], array)
    if not isinstance(state["seeded"], bool):
        raise ConfigError(f"the state has seeded = {shown(state['seeded'])}; expected a bool")
    if state["seeded"]:
        check_episodes(state["episode"], world)


def _check_array(name: str, given: Any, own: Any) -> None:
    fits = type(given) is np.ndarray and given.shape == own.shape and given.dtype == own.dtype
    if not fits:
        raise ConfigError(
            f"the state has {name} = {shown(given)}, this batch {own.dtype} of shape"
            f" {tuple(own.shape)}; build it with the same settings"
        )
    if not np.isfinite(given).all():
        raise ConfigError(f"the state has {name} that are not finite; it is damaged")


def check_episodes(episode: t.Int64, world: t.World) -> None:
    """Every environment stands on a row of a path, with a decision ahead unless it must reset."""
    path, row, over = episode[:, t.PATH], episode[:, t.ROW], episode[:, t.MUST_RESET]
    wrong = (path < 0) | (path >= len(world.paths)) | (over < 0) | (over > 1)
    first, end = world.paths[np.where(wrong, 0, path)].T
    ahead = np.where(over == 1, 0, world.codes[t.DECISION_BARS])
    wrong |= (row < first) | (row + ahead >= end) | (episode[:, t.LAST_ROW] != end - 1)
    wrong |= (episode[:, t.BOOK] < 0) | (episode[:, t.BOOK] >= len(world.symbols))
    counts = episode[:, [t.SEED, t.EPISODE, t.DECISION]]
    wrong |= ((counts < 0) | (counts > LARGEST + len(episode))).any(axis=1)
    if wrong.any():
        i = int(wrong.argmax())
        raise ConfigError(
            f"the state has environment {i} at row {row[i]} of path {path[i]} (episode"
            f" {episode[i].tolist()}), from where this market has no step; it is damaged"
        )
