"""The check of a call of a public formula, by the kinds of its arguments, and the form of its
result.

Every public formula is called through `checked` or `formula`. A number, an array, a list or a
pandas Series is welcome; scalars give a Python float (or int, bool, str), arrays an array, and
Series of one index a Series. NaN is a missing value: it gives NaN, and it is refused where the
answer is a word, a whole number or a truth value. None, text, wrong shapes and numbers beyond the
limit of their kind raise ValueError with one line: function, argument, value, what was expected.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, get_type_hints

import numpy as np
import pandas as pd

from fundenv.compiler.jit import inlined
from fundenv.formulas.kinds import refusal

F = TypeVar("F", bound=Callable[..., Any])
Values: TypeAlias = Any  # a number, an array, a Series or a list of numbers


def same_length(call: str, **sequences: Any) -> None:
    """Raise ValueError unless all sequences have one length."""
    lengths = {name: np.shape(value) for name, value in sequences.items()}
    if len(set(lengths.values())) > 1:
        shapes = ", ".join(f"{name} {shape}" for name, shape in lengths.items())
        raise ValueError(f"{call}: shapes {shapes}: expected one entry of each for every row")


def ascending(call: str, name: str, values: Any) -> None:
    """Raise ValueError unless `values` is one ascending row that begins with 0."""
    row = np.asarray(values)
    if row.ndim != 1 or row[0] != 0.0 or np.any(np.diff(row) <= 0.0):
        raise refusal(call, name, row.tolist(), "ascending numbers, the first 0")


def quotient(top: Any, bottom: Any) -> Any:
    """top / bottom, infinite where bottom is 0: no price reaches the condition."""
    divisor = np.asarray(bottom, dtype=np.float64)
    share = np.asarray(top, dtype=np.float64) / np.where(divisor == 0.0, 1.0, divisor)
    return np.where((divisor == 0.0) & ~np.isnan(share), np.inf, share)[()]


def checked(function: F) -> F:
    """The public face of a formula: it reads the annotated kinds of the arguments, checks them and
    calls the formula with numpy numbers; see the head of this module.
    """
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)
    kinds = {
        name: next((k for k in getattr(hints.get(name), "__metadata__", ()) if _is_kind(k)), None)
        for name in signature.parameters
    }
    spare = {n for n, p in signature.parameters.items() if p.default is None}

    @functools.wraps(function)
    def face(*args: Any, **kwargs: Any) -> Any:
        call = function.__name__
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{call}: {error}") from None
        bound.apply_defaults()
        index = _common_index(call, bound.arguments)
        shapes = {}
        for name, value in bound.arguments.items():
            kind = kinds[name]
            if kind is None or (value is None and name in spare):
                continue
            bound.arguments[name] = kind.read(call, name, value)
            if not kind.series and (shape := np.shape(bound.arguments[name])):
                shapes[name] = shape
        _check_shapes(call, shapes)
        with np.errstate(all="ignore"):
            return _plain(function(*bound.args, **bound.kwargs), index)

    return face  # type: ignore[return-value]


def formula(function: F) -> F:
    """`checked`, for a formula that compiled rules use too: where one of them calls it, the plain
    function is inlined without the check. Its body is arithmetic, abs and numpy's ufuncs.

    With NUMBA_DISABLE_JIT=1, when the rules run as Python, the plain function comes back.
    """
    return inlined(checked(function), function)


def _is_kind(thing: Any) -> bool:
    return hasattr(thing, "read")


def _common_index(call: str, arguments: dict[str, Any]) -> pd.Index | None:
    found = {name: v.index for name, v in arguments.items() if isinstance(v, pd.Series)}
    if not found:
        return None
    first, *others = found
    for name in others:
        if not found[name].equals(found[first]):
            raise ValueError(
                f"{call}: {first} and {name} are Series with different indices: align them first"
            )
    return found[first]


def _check_shapes(call: str, shapes: dict[str, tuple[int, ...]]) -> None:
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        text = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"{call}: shapes {text}: expected shapes that broadcast") from None


def _plain(result: Any, index: pd.Index | None) -> Any:
    """A result without numpy scalars; a row as long as the Series that came in has their index."""
    if isinstance(result, tuple):
        parts = [_plain(part, index) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if isinstance(result, np.generic) or (isinstance(result, np.ndarray) and result.ndim == 0):
        return result.item()
    if index is not None and isinstance(result, np.ndarray) and result.shape == (len(index),):
        return pd.Series(result, index=index)
    return result
