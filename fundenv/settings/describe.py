"""Settings in words: rows for tables and `--help`, and a JSON schema."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, cast

from fundenv.settings.base import Field, fields_of, listed

REQUIRED = "required"
_JSON: Mapping[Any, dict[str, str]] = {
    float: {"type": "number"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    str: {"type": "string"},
}
_NOUNS = {float: "number", int: "whole number", bool: "true or false", str: "text", Any: "value"}


class Row(NamedTuple):
    """One setting in words, ready for a table."""

    name: str
    type: str
    default: str
    range: str
    unit: str
    text: str


def describe(cls: type[Any]) -> list[Row]:
    """One row for each setting of a class, in the order of declaration; a field that is itself a
    class of settings gives the rows of that class, named `field.setting`.
    """
    texts, rows = texts_of(cls), []
    for name, field in fields_of(cls).items():
        if dataclasses.is_dataclass(field.kind) and isinstance(field.kind, type):
            rows += [row._replace(name=f"{name}.{row.name}") for row in describe(field.kind)]
            continue
        rows.append(
            Row(
                name=name,
                type=type_of(field) + (" or none" if field.optional else ""),
                default=shown(field.default),
                range=str(field.range or listed(field.choices)),
                unit=field.range.unit if field.range else "",
                text=texts.get(name, ""),
            )
        )
    return rows


def schema(cls: type[Any]) -> dict[str, Any]:
    """JSON schema of a class of settings: types, ranges, units, defaults and texts."""
    texts, properties = texts_of(cls), {}
    for name, field in fields_of(cls).items():
        item: dict[str, Any] = (
            {"enum": list(field.choices)} if field.choices else dict(_JSON.get(field.kind, {}))
        )
        if dataclasses.is_dataclass(field.kind) and isinstance(field.kind, type):
            item = schema(field.kind)
        if field.range:
            item |= {"minimum": field.range.low, "maximum": field.range.high}
        if field.many:
            item = {"type": "array", "items": item}
        if field.optional:
            item = {"anyOf": [item, {"type": "null"}]}
        if field.range and field.range.unit:
            item["unit"] = field.range.unit
        if name in texts:
            item["description"] = texts[name]
        if field.default is not dataclasses.MISSING:
            value = field.default
            item["default"] = list(value) if isinstance(value, tuple) else value
        properties[name] = item
    required = [name for name, field in fields_of(cls).items() if shown(field.default) == REQUIRED]
    made = {"type": "object", "properties": properties, "additionalProperties": False}
    return made | ({"required": required} if required else {})


def type_of(field: Field) -> str:
    """The type of a field in words."""
    noun = field.form.noun if field.form else "choice" if field.choices else None
    noun = noun or _NOUNS.get(field.kind, getattr(field.kind, "__name__", "value"))
    return f"{noun}s" if field.many and not field.form else noun


def shown(value: Any) -> str:
    """A default as a user writes it."""
    if value is dataclasses.MISSING:
        return REQUIRED
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return " ".join(map(shown, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def texts_of(cls: type[Any]) -> dict[str, str]:
    """Name -> the string under a field, in one line; those of a base hold until a subclass writes
    its own.
    """
    found: dict[str, str] = _read_texts(cast(Any, cls))
    return found


@cache
def _read_texts(cls: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        if "__dataclass_fields__" not in vars(owner):
            continue
        tree = ast.parse(textwrap.dedent(_source(owner)))
        lines = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
        for line, under in zip(lines, lines[1:], strict=False):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                match under:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[line.target.id] = " ".join(text.split())
    return found


def _source(owner: type[Any]) -> str:
    """Its lines; none where it was made without a file, as in a notebook or by `exec`."""
    try:
        return inspect.getsource(owner)
    except (OSError, TypeError):
        return ""
