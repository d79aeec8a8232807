"""Functions written out from a list of fields: numba unrolls no loop over the fields of a
NamedTuple, and numbers of columns written by hand go wrong where a field is added.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def written(name: str, arguments: str, result: str, scope: Mapping[str, Any]) -> Any:
    """The function `name(arguments)` that returns the expression `result`; `scope`: what that
    names.

    Tracebacks show its line.
    """
    file, source = f"<{name}>", f"def {name}({arguments}):\n    return {result}\n"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    made: dict[str, Any] = dict(scope)
    exec(compile(source, file, "exec"), made)
    function: Callable[..., Any] = made[name]
    return function


def tuple_of(kind: type[Any], entries: Sequence[str]) -> str:
    """The expression that makes a NamedTuple of one expression for each field."""
    if len(entries) != len(kind._fields):
        raise ValueError(f"{kind.__name__} has {len(kind._fields)} fields, not {len(entries)}")
    return f"{kind.__name__}({', '.join(entries)})"
