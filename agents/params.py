"""Parameters of an agent: frozen dataclasses whose annotations carry the range of every field."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from dataclasses import dataclass
from typing import Any, Literal, Self


class AgentError(ValueError):
    """An agent or a parameter that cannot be used; the message is one line and names the remedy."""


class Range(typing.NamedTuple):
    """Lowest and highest value allowed, both included; annotate a field with it: `Annotated[float, Range(0, 1)]`."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Params:
    """Base of every parameter class.

    Each field is a number, a tuple of numbers, a flag or a `Literal`; a value that does not fit its
    annotation raises `AgentError` with field, value and range.
    """

    def __post_init__(self) -> None:
        for name, hint in typing.get_type_hints(type(self), include_extras=True).items():
            value = getattr(self, name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, name, value)
            _check(name, value, hint)

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, owner: str) -> Self:
        """Parameters from keyword values; an unknown name raises `AgentError` with the nearest known ones."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise AgentError(f"agent {owner} has no parameter {name!r}; {nearest(name, known)}")
        try:
            return cls(**values)
        except AgentError as error:
            raise AgentError(f"agent {owner}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()}


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


def _check_numbers(name: str, value: Any, kind: Any, allowed: Range) -> None:
    many = typing.get_origin(kind) is tuple
    whole = (typing.get_args(kind)[0] if many else kind) is int
    numbers = value if many and isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int if whole else (int, float)):
            noun = ("whole " if whole else "") + ("numbers" if many else "number")
            raise AgentError(f"{name} = {value!r}: expected {noun} in {allowed.low:g} .. {allowed.high:g}")
        if not allowed.low <= number <= allowed.high:
            raise AgentError(f"{name} = {value!r} is outside {allowed.low:g} .. {allowed.high:g}; set it within")
    if not numbers:
        raise AgentError(f"{name} is empty; give at least one value in {allowed.low:g} .. {allowed.high:g}")
