"""The rules as plain Python in a process whose rules are compiled: functions of the same code that
call each other's plain form.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from fundenv.compiler.jit import BODIES, is_rule

_SCOPES: dict[int, dict[str, Any]] = {}  # identity of a module's names -> the plain ones


@cache
def plain(rule: Any) -> Callable[..., Any]:
    """`rule` as a function of Python: the same arithmetic in the same order, so the same bits.

    Where numpy divides by zero it warns, and compiled code does not: call it under `np.errstate`.
    """
    return _of(rule) if is_rule(rule) or rule in BODIES else rule


def _of(rule: Any) -> Any:
    source = rule.py_func if is_rule(rule) else BODIES[rule]
    names = source.__globals__
    scope = _SCOPES.get(id(names))
    if scope is None:  # rules call each other, so the scope is known before it is filled
        scope = _SCOPES[id(names)] = {}
        scope |= {name: _plain_name(value) for name, value in names.items()}
    return FunctionType(
        source.__code__, scope, source.__name__, source.__defaults__, source.__closure__
    )


def _plain_name(value: Any) -> Any:
    """What stands for a module's name in its plain scope."""
    known = is_rule(value) or (isinstance(value, FunctionType) and value in BODIES)
    return plain(value) if known else value
