"""The grid of a sweep: texts KEY=A,B,... become one benchmark for each combination of values."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from experiments.core.limits import check_arguments
from experiments.core.market_args import MarketArgs, pairs
from experiments.core.run_folder import RunError
from fundenv.settings import nearest

A = TypeVar("A", bound=MarketArgs)
Values = dict[str, str]  # what is varied -> its value, as the command line has it
JOINS = "+"  # between the parts of a value that is a list, as in BTCUSDT+ETHUSDT
MOST = 100_000  # cells of a sweep
_INSTEAD = {  # options that are the same in all cells
    "seeds": "every cell has the seeds of --seeds",
    "env": "give a setting of the environment as env.NAME",
    "params": "give a parameter of an agent as AGENT.NAME",
    "out": "every cell has its own folder in --out",
    "resume": "--resume continues all cells",
    "ray": "all cells share one cluster",
    "workers": "all cells share the workers",
}
_SAFE = re.compile(r"[^\w.=+@,-]")  # what the name of a folder does not keep
_LONG = 120  # characters of the name of a folder


def grid(vary: Sequence[str]) -> dict[str, Values]:
    """Name of its folder -> every combination of the values in `vary`, the last key fastest.

    Raises `RunError` where nothing is varied, or a key or a value stands twice.
    """
    axes: dict[str, list[str]] = {}
    for text in vary:
        key, sign, values = text.partition("=")
        key = key.removeprefix("--")
        parts = _parts(values)
        if not (key and sign and all(parts)):
            raise RunError(
                f"--vary {text}: expected KEY=A,B,.. as symbols=BTCUSDT,ETHUSDT or"
                " env.episode=30D,60D or ppo.entropy=0.005,0.02"
            )
        if key in axes:
            raise RunError(f"--vary {key} stands twice; give all its values in one list")
        for part in parts:
            if parts.count(part) > 1:
                raise RunError(f"--vary {key} has {part} twice; name every value once")
        axes[key] = parts
    if not axes:
        raise RunError(
            "--vary is empty; name what differs between the cells, as --vary"
            " symbols=BTCUSDT,ETHUSDT (for one cell use the benchmark)"
        )
    count = 1
    for parts in axes.values():
        count *= len(parts)
    if count > MOST:
        raise RunError(f"--vary makes {count:,} cells; give at most {MOST:,}")
    cells = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    return {name_of(cell): cell for cell in cells}


def _parts(values: str) -> list[str]:
    """The texts between the commas that stand in no brackets."""
    found, depth = [""], 0
    for letter in values:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [part.strip() for part in found]


def name_of(cell: Values) -> str:
    """Name of the folder of a cell, different for every cell."""
    whole = ",".join(f"{key}={value}" for key, value in cell.items())
    name = _SAFE.sub("_", whole)
    if name == whole and len(name) <= _LONG:
        return name
    return f"{name[:_LONG]}-{hashlib.sha256(whole.encode()).hexdigest()[:6]}"


def args_of(base: A, values: Values) -> A:
    """The benchmark of a cell: `base` with the values of the cell.

    Raises `RunError` for a key or a value that the benchmark does not take.
    """
    changed: dict[str, Any] = {}
    for key, text in values.items():
        group, dot, name = key.partition(".")
        if dot:
            field = "env" if group == "env" else "params"
            item = f"{name if group == 'env' else key}={text}"
            given = changed.get(field, getattr(base, field))
            if pairs((item,), "--vary").keys() & pairs(given, f"--{field}").keys():
                raise RunError(f"--vary {key}: --{field} sets it too; give it in one of both")
            changed[field] = (*given, item)
            continue
        field = key.replace("-", "_")
        if field in _INSTEAD:
            raise RunError(f"--vary {key}: {_INSTEAD[field]}")
        hints = typing.get_type_hints(type(base))
        if field not in hints:
            known = [each for each in hints if each not in _INSTEAD]
            raise RunError(f"--vary {key}: the benchmark has no such option; {nearest(key, known)}")
        changed[field] = _value(key, text, hints[field])
    made = dataclasses.replace(base, **changed)
    check_arguments(made)
    return made


def _value(key: str, text: str, hint: Any) -> Any:
    """The value of an option from its text."""
    if typing.get_origin(hint) is types.UnionType:
        hint = next(each for each in typing.get_args(hint) if each is not type(None))
    if typing.get_origin(hint) is tuple:
        return tuple(_value(key, part, typing.get_args(hint)[0]) for part in text.split(JOINS))
    choices: tuple[Any, ...] = ("true", "false") if hint is bool else ()
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
    if choices and text not in choices:
        raise RunError(f"--vary {key}={text}: expected one of {', '.join(choices)}")
    if hint is bool:
        return text == "true"
    if choices or hint is str:
        return text
    try:
        return hint(text)
    except ValueError:
        kind = {int: "a whole number", float: "a number", Path: "a path"}[hint]
        raise RunError(f"--vary {key}={text}: expected {kind}") from None
