"""What rules have read of the batch that they are bound to."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar, Self


class OfBatch:
    """Numbers of one batch, which refer to it. A copy is for the same batch, which is not copied.
    A file of a training holds no batch: who reads it keeps the numbers of its own (`kept`).
    """

    left_out: ClassVar[tuple[str, ...]] = ("_batch",)  # of files

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __deepcopy__(self, memo: Any) -> Self:
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self.left_out}


def kept(rule: Any, *path: str) -> list[tuple[tuple[str, ...], OfBatch]]:
    """(names of attributes on the way to it, numbers): what a rule and the parts of it, such as its
    capital or a rule within it, have read of their batch.
    """
    found: list[tuple[tuple[str, ...], OfBatch]] = []
    for name, value in vars(rule).items():
        if isinstance(value, OfBatch):
            found.append(((*path, name), value))
        elif hasattr(value, "__dict__") and type(value).__module__.startswith("agents."):
            found += kept(value, *path, name)
    return found


def put_back(rule: Any, numbers: list[tuple[tuple[str, ...], OfBatch]]) -> None:
    """Give a rule what `kept` returned."""
    for (*path, name), value in numbers:
        setattr(reduce(getattr, path, rule), name, value)
