"""Parameters of an agent: frozen dataclasses whose annotations carry the range of every field."""

from __future__ import annotations

import dataclasses
import difflib
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray


class AgentError(ValueError):
    """An agent or a parameter that cannot be used; the message is one line and names the remedy."""


class Range(typing.NamedTuple):
    """Lowest and highest value allowed, both included; annotate a field with it: `Annotated[float,
    Range(0, 1)]`.
    """

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Params:
    """Base of every parameter class.

    Each field is a number, a tuple of numbers, a flag or a `Literal`; a value that does not fit its
    annotation raises `AgentError` with field, value and range.
    """

    below: ClassVar[
        tuple[tuple[str, str], ...]
    ] = ()  # (lower, upper): the first field must lie below the second

    def __post_init__(self) -> None:
        for name, hint in typing.get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, name, value)
            _check(name, value, hint)
        _check_order(type(self), vars(self))

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, owner: str) -> Self:
        """Parameters from keyword values; an unknown name raises `AgentError` with the nearest
        known ones.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise AgentError(f"agent {owner} has no parameter {name!r}; {nearest(name, known)}")
        try:
            return cls(**values)
        except AgentError as error:
            raise AgentError(f"agent {owner}: {error}") from None

    def vary(self, values: Mapping[str, Any], *, owner: str) -> dict[str, NDArray[Any]]:
        """One value per environment for some number or flag fields, as arrays (n,), checked like
        single values.

        Raises `AgentError` with field, value and range; fields not named keep the value of `self`.
        """
        hints = typing.get_type_hints(type(self), include_extras=True)
        arrays = {name: np.asarray(value) for name, value in values.items()}
        sizes = {array.shape for array in arrays.values()}
        if len(sizes) > 1 or any(len(size) != 1 for size in sizes):
            raise AgentError(
                f"agent {owner}: values of {', '.join(arrays)} have shapes {sorted(sizes)}; give"
                " one value per environment each"
            )
        for name, array in arrays.items():
            if name not in hints or name == "below":
                raise AgentError(
                    f"agent {owner} has no parameter {name!r};"
                    f" {nearest(name, [f.name for f in dataclasses.fields(self)])}"
                )
            for value in np.unique(array).tolist():
                try:
                    _check(
                        name,
                        (
                            int(value)
                            if isinstance(value, float)
                            and _is_whole(hints[name])
                            and value.is_integer()
                            else value
                        ),
                        hints[name],
                    )
                except AgentError as error:
                    raise AgentError(f"agent {owner}: {error}") from None
        try:
            _check_order(type(self), vars(self) | arrays)
        except AgentError as error:
            raise AgentError(f"agent {owner}: {error}") from None
        return arrays

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
        }


def read_pairs(items: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE texts; a value is read as JSON where it is JSON, `none` is None. Raises
    `AgentError` for a text without `=`.
    """
    values: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals:
            raise AgentError(f"{item}: expected NAME=VALUE")
        try:
            values[name] = None if text.lower() == "none" else json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return values


def nearest(name: str, known: list[str]) -> str:
    """The end of an error message: the known names closest to `name`, or all of them."""
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {', '.join(near)}?"
    return f"known: {', '.join(known)}" if known else "it has none"


def _check(name: str, value: Any, hint: Any) -> None:
    """Raise `AgentError` where `value` does not fit the annotation `hint`."""
    ranges = [note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Range)]
    kind = typing.get_args(hint)[0] if ranges else hint
    if typing.get_origin(kind) is Literal:
        allowed = typing.get_args(kind)
        if value not in allowed:
            raise AgentError(f"{name} = {value!r} is not one of {', '.join(map(str, allowed))}")
    elif kind is bool:
        if not isinstance(value, bool):
            raise AgentError(f"{name} = {value!r} is neither true nor false")
    elif ranges:
        _check_numbers(name, value, kind, ranges[0])


def _check_order(kind: type[Params], values: Mapping[str, Any]) -> None:
    """Raise `AgentError` where a field does not lie below the one that it must lie below; values
    are numbers or arrays (n,).
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    for lower, upper in kind.below:
        low, high = np.broadcast_arrays(values[lower], values[upper])
        wrong = np.flatnonzero(np.atleast_1d(low >= high))
        if len(wrong):
            least = next(note.low for note in hints[lower].__metadata__ if isinstance(note, Range))
            bad, limit = np.atleast_1d(low)[wrong[0]].item(), np.atleast_1d(high)[wrong[0]].item()
            raise AgentError(
                f"{lower} = {bad!r} is outside {least:g} .. {upper} = {limit!r} (excluded); lower"
                f" {lower} or raise {upper}"
            )


def _is_whole(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Annotated and typing.get_args(hint)[0] is int


def _check_numbers(name: str, value: Any, kind: Any, allowed: Range) -> None:
    many = typing.get_origin(kind) is tuple
    whole = (typing.get_args(kind)[0] if many else kind) is int
    numbers = value if many and isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int if whole else (int, float)):
            noun = ("whole " if whole else "") + ("numbers" if many else "number")
            raise AgentError(
                f"{name} = {value!r}: expected {noun} in {allowed.low:g} .. {allowed.high:g}"
            )
        if not allowed.low <= number <= allowed.high:
            raise AgentError(
                f"{name} = {value!r} is outside {allowed.low:g} .. {allowed.high:g}; set it within"
            )
    if not numbers:
        raise AgentError(
            f"{name} is empty; give at least one value in {allowed.low:g} .. {allowed.high:g}"
        )
