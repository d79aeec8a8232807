"""Callbacks that record what an agent does while it learns, in the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def go_on(steps: int, seen: Any) -> bool:
    return True


class Watching:
    """A callback whose `step` and `update` are the functions given; it goes on where none is."""

    def __init__(
        self,
        step: Callable[[int, Any], Any] = go_on,
        update: Callable[[int, dict[str, float]], Any] = go_on,
    ) -> None:
        self.step, self.update = step, update


def until(last: int) -> Watching:
    """A callback that ends the learning once `last` steps are done."""
    return Watching(lambda steps, batch: steps < last)
