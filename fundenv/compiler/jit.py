"""The decorators of all rules.

Only the entry points of `batch.entry` are emitted and cached (`fundenv.compiler.cache`): a rule is
translated once, pasted into them, and optimised there (measured: half the computing of a cold
start).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import types
from numba.core import config as numba_config
from numba.core.registry import CPUDispatcher
from numba.extending import overload

from fundenv.compiler.pipelines import LanesRuleCompiler, RuleCompiler

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy", "_nrt": False}


# public function -> the formula that compiled rules call in its place (`inlined`)
BODIES: dict[Callable[..., Any], Callable[..., Any]] = {}


class _Rule(CPUDispatcher):  # type: ignore[misc]
    """A rule for compiled callers alone."""

    def add_overload(self, cres: Any) -> None:
        self.targetctx.insert_user_function(cres.entry_point, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """As numba's, but a constant is an argument like any other: the rule is compiled once for
        all, and LLVM sees the constant where the rule is inlined.
        """
        return super().get_call_template(tuple(map(types.unliteral, args)), kws)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.py_func.__name__
        raise TypeError(
            f"{name} is a rule for compiled code; call {name}.py_func, or set NUMBA_DISABLE_JIT=1"
        )


def is_rule(thing: Any) -> bool:
    """Whether something is what the decorators of this file return."""
    return isinstance(thing, _Rule)


def _rule(
    function: Callable[..., Any],
    kind: type[_Rule] = _Rule,
    pipeline: type[RuleCompiler] = RuleCompiler,
    **how: Any,
) -> Any:
    if numba_config.DISABLE_JIT:
        return function
    return kind(
        function,
        targetoptions={"nopython": True, "boundscheck": None, **_OPTIONS, **how},
        pipeline_class=pipeline,
    )


def jit(function: Callable[..., Any]) -> Any:
    """Compile a scalar rule: IEEE arithmetic in program order, no Python objects, no allocation (so
    no reference counts).

    Rules are inlined into their caller: a call would hand on two dozen arrays (measured: 4x
    slower). With NUMBA_DISABLE_JIT=1 the plain Python function comes back.
    """
    return _rule(function, forceinline=True)


def inlined(face: F, body: F) -> F:
    """Let compiled rules call `face`: `body`, the same formula as plain Python, is inlined there.

    `body` may use arithmetic, abs and numpy's ufuncs only. With NUMBA_DISABLE_JIT=1, when the rules
    are Python themselves, they get the body too.
    """
    if numba_config.DISABLE_JIT:
        return body
    options = {"error_model": "numpy", "fastmath": False, "forceinline": True}
    BODIES[face] = body
    overload(face, jit_options=options, strict=False)(lambda *args, **kwargs: body)
    return face


def jit_outer(function: Callable[..., Any]) -> Any:
    """As `jit` for a function that makes arrays among the variables of its caller, or takes a
    constant as such (`fundenv.compiler.memory`): pasted into the caller before the types are known.
    """
    return _rule(function, inline="always")


def _ask_fallback(world, store, *rest):
    """In place of a rare rule on a draft; 0.0 where the rule returns an amount."""
    store.needs_fallback[0] = True
    return 0.0


class _RareRule(_Rule):
    """A rule that does not run on a draft (`types.Draft` or `types.QuietDraft`, the second
    argument): another runs there, or the step is a fallback.
    """

    instead: Any = None

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return (
            (self.instead or _ASK_FALLBACK).get_call_template(args, kws)
            if self.is_rare_on(args[1])
            else super().get_call_template(args, kws)
        )

    def get_overload(self, sig: Any) -> Any:
        return (
            (self.instead or _ASK_FALLBACK).get_overload(sig)
            if self.is_rare_on(sig[1])
            else super().get_overload(sig)
        )

    @staticmethod
    def is_rare_on(kind: Any) -> bool:
        """Whether the rule does not run on a state of this type."""
        return "needs_fallback" in getattr(kind, "fields", ())


class _OrderRule(_RareRule):
    """A rule that does not run on a draft of a bar between two decisions: a NamedTuple whose class
    says so.
    """

    @staticmethod
    def is_rare_on(kind: Any) -> bool:
        return hasattr(getattr(kind, "instance_class", None), "between_decisions")


class _MixedRule(_Rule):
    """A rule of accounts of both kinds of contract alone (`types.MixedWorld`, the first argument):
    in the others `instead` runs.
    """

    instead: Any = None

    def _chosen(self, kind: Any) -> Any:
        mixed = hasattr(getattr(kind, "instance_class", None), "is_mixed")
        return super() if mixed else self.instead

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return self._chosen(args[0]).get_call_template(args, kws)

    def get_overload(self, sig: Any) -> Any:
        return self._chosen(sig[0]).get_overload(sig)


_ASK_FALLBACK = _rule(_ask_fallback, forceinline=True)


def jit_rare(function: Callable[..., Any]) -> Any:
    """As `jit` for a rule that few steps reach (a liquidation, a new episode): called and not
    inlined, which halves the work of LLVM. numba would hand a caller's wish to be inlined on to it.

    Its first arguments are (world, store). On a draft of a state it only takes note that the step
    has to be taken again on the whole state.
    """
    return _rule(function, _RareRule, forceinline=False)


def jit_scalar(function: Callable[..., Any]) -> Any:
    """As `jit` for a rule of a mode in which no draft is stepped; there it is as `jit_rare`."""
    return _rule(function, _RareRule, forceinline=True)


def jit_rare_but_for(common: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `jit_rare`, for a rule of which one case is common: on a draft `common`, a rule with the
    same arguments, replaces it, and asks for the fallback in the other cases.
    """

    def decorated(function: Callable[..., Any]) -> Any:
        rule = _rule(function, _RareRule, forceinline=False)
        if not numba_config.DISABLE_JIT:
            rule.instead = common
        return rule

    return decorated


def jit_but_for(common: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `jit`, for a rule in whose place `common`, a rule with the same arguments, runs on a
    draft.
    """

    def decorated(function: Callable[..., Any]) -> Any:
        rule = _rule(function, _RareRule, forceinline=True)
        if not numba_config.DISABLE_JIT:
            rule.instead = common
        return rule

    return decorated


def jit_order(function: Callable[..., Any]) -> Any:
    """As `jit` for a rule that makes or fills orders: between two decisions few bars reach it. Its
    first arguments are (world, store).

    On a `types.QuietDraft` it only takes note that the step has to be taken again on the whole
    state; elsewhere it is inlined.
    """
    return _rule(function, _OrderRule, forceinline=True)


def jit_order_but_for(common: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `jit_order` where a rule with the same arguments, `common`, says what a bar between two
    decisions needs of it.
    """

    def decorated(function: Callable[..., Any]) -> Any:
        rule = _rule(function, _OrderRule, forceinline=True)
        if not numba_config.DISABLE_JIT:
            rule.instead = common
        return rule

    return decorated


def jit_mixed_but_for(usual: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `jit`, for a rule that a `types.MixedWorld` alone needs, its first argument; `usual`, a
    rule with the same arguments, stands in its place in every other world.
    """

    def decorated(function: Callable[..., Any]) -> Any:
        rule = _rule(function, _MixedRule, forceinline=True)
        if not numba_config.DISABLE_JIT:
            rule.instead = usual
        return rule

    return decorated


def jit_lanes(function: Callable[..., Any]) -> Any:
    """As `jit`, called and not inlined, for a loop over lanes: no two of its arrays may share
    memory, and no pass through it may end with a loop, or the compiler forgets what
    `fundenv.compiler.pipelines` asks for.
    """
    return _rule(function, pipeline=LanesRuleCompiler)
