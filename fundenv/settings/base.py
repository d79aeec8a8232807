"""One base for everything that a user sets: the environment, agents, presets and venue files.

A class of settings is a frozen, keyword-only dataclass. The annotation of a field says what it may
be, the string under the field what it is:

    @dataclass(frozen=True, kw_only=True)
    class Mine(Settings):
        share: Annotated[float, Range(0, 1, "of equity")] = 0.5
        \"\"\"What the position may use.\"\"\"

`describe` and `schema` read both, so tables, `--help` and documents are written from the code.

A dataclass, not pydantic: pydantic turns `leverage = 4` into 4.0, which changes the hash of
settings that older runs have stored, wraps the first error in one of its own, and adds 0.11 s to
the import.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np


class SettingsError(ValueError):
    """A setting that cannot be used; one line names the setting, the value, the limit and the
    remedy.
    """


class Range(NamedTuple):
    """Lowest and highest value allowed, both included, and the unit: `Annotated[float, Range(0,
    1)]`.
    """

    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.low:g} .. {self.high:g}"


class Form(NamedTuple):
    """A value with a form of its own, such as a duration; `check(value, name)` raises where it
    does not hold.
    """

    noun: str
    check: Callable[[Any, str], object]


class Field(NamedTuple):
    """What the annotation of one field says."""

    name: str
    kind: Any  # the type of a value, or of one of several
    many: bool
    optional: bool  # None is allowed
    range: Range | None
    form: Form | None
    default: Any  # dataclasses.MISSING where there is none
    notes: tuple[Any, ...]  # everything else that the annotation carries

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a `Literal`."""
        return typing.get_args(self.kind) if typing.get_origin(self.kind) is Literal else ()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of every class of settings: values that do not fit their annotation are refused."""

    error: ClassVar[type[ValueError]] = SettingsError

    def __new__(cls, *args: Any, **values: Any) -> Self:
        """Refuse unknown names, the nearest known ones in the message."""
        known = fields_of(cls)
        for name in values:
            if name not in known:
                raise cls.unknown(name)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, field in fields_of(type(self)).items():
            value = check(field, getattr(self, name), self.error)
            object.__setattr__(self, name, value)

    @classmethod
    def unknown(cls, name: str) -> ValueError:
        """The error for a name that no field has."""
        return cls.error(f"unknown setting {name!r}; {nearest(name, fields_of(cls))}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
        }


def fields_of(cls: type[Any]) -> dict[str, Field]:
    """Name -> what is known of the field, in the order of declaration."""
    found: dict[str, Field] = _read_fields(typing.cast(Any, cls))
    return found


@cache
def _read_fields(cls: Any) -> dict[str, Field]:
    hints = typing.get_type_hints(cls, include_extras=True)
    found = {}
    for field in dataclasses.fields(cls):
        kind: Any = hints[field.name]
        notes: list[Any] = []
        if typing.get_origin(kind) is typing.Annotated:
            kind, *notes = typing.get_args(kind)
        options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
        optional = type(None) in options
        if len(rest := [option for option in options if option is not type(None)]) == 1:
            kind = rest[0]
        many = typing.get_origin(kind) is tuple
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        found[field.name] = Field(
            name=field.name,
            kind=typing.get_args(kind)[0] if many else kind,
            many=many,
            optional=optional,
            range=next((note for note in notes if isinstance(note, Range)), None),
            form=next((note for note in notes if isinstance(note, Form)), None),
            default=default,
            notes=tuple(note for note in notes if not isinstance(note, (Range, Form))),
        )
    return found


def check(field: Field, value: Any, error: type[ValueError] = SettingsError) -> Any:
    """`value` as it is stored: lists become tuples, one value where several may stand becomes a
    tuple of one, numbers of numpy those of Python. Raises `error` with name, value and limit where
    it does not fit the field.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if field.many and isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        value = tuple(value)
    if value is None and field.optional:
        return None
    if field.many and _is_one(value):
        value = (value,)
    if field.form is not None:
        try:
            field.form.check(value, field.name)
        except SettingsError as refused:
            raise refused if isinstance(refused, error) else error(str(refused)) from None
    elif field.choices:
        if not any(type(value) is type(choice) and value == choice for choice in field.choices):
            raise error(f"{field.name} = {said(value)} is not one of {listed(field.choices)}")
    elif field.kind is bool:
        if not isinstance(value, bool):
            raise error(f"{field.name} = {said(value)} is neither true nor false")
    elif field.range is not None:
        _check_numbers(field, field.range, value, error)
    elif field.kind is str and not field.many:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if not isinstance(value, str):
            raise error(f"{field.name} = {said(value)}: expected a text; put it in quotes")
    return value


def _is_one(value: Any) -> bool:
    """Whether it is a number or a text, which stands for a tuple of one, as in `NAME=2`."""
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def _check_numbers(field: Field, limits: Range, value: Any, error: type[ValueError]) -> None:
    whole = field.kind is int
    numbers = value if field.many and isinstance(value, tuple) else (value,)
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int if whole else (int, float)):
            noun = ("whole " if whole else "") + ("numbers" if field.many else "number")
            raise error(f"{field.name} = {said(value)}: expected {noun} in {limits}")
        if not limits.low <= number <= limits.high:
            raise error(f"{field.name} = {said(value)} is outside {limits}; set it within")
    if not numbers:
        raise error(f"{field.name} is empty; give at least one value in {limits}")


def read_pairs(items: Iterable[str], error: type[ValueError] = SettingsError) -> dict[str, Any]:
    """NAME=VALUE texts; a value is read as JSON where it is JSON, `none` is None, and capitals do
    not matter in None, True and False. Raises `error` for a text without `=`.
    """
    values: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals:
            raise error(f"{item}: expected NAME=VALUE")
        try:
            word = text.lower() if text.lower() in ("none", "true", "false") else text
            values[name] = None if word == "none" else json.loads(word)
        except json.JSONDecodeError:
            values[name] = text
    return values


def said(value: Any) -> str:
    """A value in a message, in one line."""
    return " ".join(repr(value).split())


def listed(choices: Iterable[Any]) -> str:
    """Choices as they stand in a message."""
    return ", ".join(map(str, choices))


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the known names closest to `name`, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {', '.join(near)}?"
    return f"known: {', '.join(known)}" if known else "it has none"
