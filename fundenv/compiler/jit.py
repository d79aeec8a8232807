"""The decorators of all rules.

Only the entry points of `batch.entry` are emitted and cached (`fundenv.compiler.cache`): a rule is
translated once, pasted into them, and optimised there (measured: half the computing of a cold
start).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from llvmlite import ir
from numba.core import config as numba_config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher
from numba.extending import overload

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": False, "error_model": "numpy", "_nrt": False}
AT_ONCE = 2  # vectors of environments that are stepped in turns


class _PastedCode(JITCodeLibrary):  # type: ignore[misc]
    """Code that is only ever linked into a caller: nothing is optimised or emitted here, the entry
    point's module is, once for all.

    numba's own library optimises and emits every function together with all that it calls, at every
    level of the call graph again.
    """

    def add_ir_module(self, module: Any) -> None:
        for function in module.functions:
            if function.name == "sqrt":  # the processor's instruction, without C's errno
                function._set_name("llvm.sqrt.f64")
        super().add_ir_module(module)

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        """Left to the entry point, into which this code is linked."""

    def _finalize_final_module(self) -> None:
        self._finalized = True


class _EntryCode(JITCodeLibrary):  # type: ignore[misc]
    """An entry point with everything that it calls, optimised once: numba's first, cheaper run is
    there to prune reference counts; there are none.
    """

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


def _wish(module: Any, *wish: Any) -> None:
    """Ask LLVM to treat the loops of a module that is not optimised yet as `wish`, one of the names
    under `llvm.loop` in its language reference, says.
    """
    node = module.add_metadata([ir.MetaDataString(module, wish[0]), *wish[1:]])
    for function in module.functions:
        place = {block: k for k, block in enumerate(function.blocks)}
        for block in function.blocks:
            jump = block.terminator
            if isinstance(jump, ir.Branch) and place[jump.operands[0]] <= place[block]:
                loop = module.add_metadata([ir.MetaDataString(module, block.name), node])
                loop.operands = (loop, node)  # a loop is named by a node that begins with itself
                jump.set_metadata("llvm.loop", loop)


class _LanesCode(_EntryCode):
    """An entry point whose loops become vector instructions: only when all variables have left
    memory can the compiler see that they may.

    Its own loops stay loops: unrolled, the code of a step would not fit the processor's cache of
    instructions (measured: 4 % slower).
    """

    def add_ir_module(self, module: Any) -> None:
        _wish(module, "llvm.loop.unroll.disable")
        super().add_ir_module(module)

    def _optimize_final_module(self) -> None:
        passes, builder = self._codegen._module_pass_manager(
            loop_vectorize=False, slp_vectorize=False
        )
        passes.run(self._final_module, builder)
        super()._optimize_final_module()


class _Pipeline(Compiler):  # type: ignore[misc]
    """numba's pipeline, writing into a code library of our own."""

    code: type[JITCodeLibrary]
    name: str

    def __init__(
        self,
        typingctx: Any,
        targetctx: Any,
        library: Any,
        args: Any,
        return_type: Any,
        flags: Any,
        locals: Any,
    ) -> None:
        library = self.code(targetctx.codegen(), self.name)
        self.prepare(library, flags)
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)

    @abstractmethod
    def prepare(self, library: Any, flags: Any) -> None:
        """Change the library and the flags before anything is compiled."""


class EntryCompiler(_Pipeline):
    """numba's pipeline for an entry point."""

    code, name = _EntryCode, "entry"

    def prepare(self, library: Any, flags: Any) -> None:
        """The object code goes into the cache."""
        library.enable_object_caching()


class LanesCompiler(EntryCompiler):
    """numba's pipeline for an entry point that calls a rule of `jit_lanes`."""

    code = _LanesCode


class _RuleCompiler(_Pipeline):
    """numba's pipeline up to LLVM's intermediate code, without entry points for Python or C."""

    code, name = _PastedCode, "rule"

    def prepare(self, library: Any, flags: Any) -> None:
        """No object code, no entry points."""
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        # numba finds the code of a callee by its entry point; any object of its own will do
        return super().compile_extra(func)._replace(entry_point=object())


class _Rule(CPUDispatcher):  # type: ignore[misc]
    """A rule for compiled callers alone."""

    def add_overload(self, cres: Any) -> None:
        self.targetctx.insert_user_function(cres.entry_point, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.py_func.__name__
        raise TypeError(
            f"{name} is a rule for compiled code; call {name}.py_func, or set NUMBA_DISABLE_JIT=1"
        )


def _rule(
    function: Callable[..., Any],
    kind: type[_Rule] = _Rule,
    pipeline: type[_RuleCompiler] = _RuleCompiler,
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

    Rules are inlined into their caller: a call would copy the descriptors of two dozen arrays
    (measured: 4x slower). With NUMBA_DISABLE_JIT=1 the plain Python function comes back.
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
    overload(face, jit_options=options, strict=False)(lambda *args, **kwargs: body)
    return face


def jit_outer(function: Callable[..., Any]) -> Any:
    """As `jit` for the few functions around all others, each called in one place: pasted into their
    caller before the types are known, so that numba has to translate no call with two dozen arrays
    there.
    """
    return _rule(function, inline="always")


def _give_up(world, store, *rest):
    store.given_up[0] = True


class _RareRule(_Rule):
    """A rule that does not run on a draft (`types.Draft` or `types.QuietDraft`, the second
    argument): another runs there, or the step is a fallback.
    """

    instead: Any = None

    def get_call_template(self, args: Any, kws: Any) -> Any:
        return (
            (self.instead or _GIVE_UP).get_call_template(args, kws)
            if self.is_rare_on(args[1])
            else super().get_call_template(args, kws)
        )

    def get_overload(self, sig: Any) -> Any:
        return (
            (self.instead or _GIVE_UP).get_overload(sig)
            if self.is_rare_on(sig[1])
            else super().get_overload(sig)
        )

    @staticmethod
    def is_rare_on(kind: Any) -> bool:
        """Whether the rule does not run on a state of this type."""
        return "given_up" in getattr(kind, "fields", ())


class _OrderRule(_RareRule):
    """A rule that does not run on a draft of a bar between two decisions: a NamedTuple whose class
    says so.
    """

    @staticmethod
    def is_rare_on(kind: Any) -> bool:
        return hasattr(getattr(kind, "instance_class", None), "between_decisions")


_GIVE_UP = _rule(_give_up, forceinline=True)


def jit_rare(function: Callable[..., Any]) -> Any:
    """As `jit` for a rule that few steps reach (a liquidation, a new episode): called and not
    inlined, which halves the time to compile.

    Its first arguments are (world, store). On a draft of a state it only takes note that the step
    has to be taken again on the whole state.
    """
    return _rule(function, _RareRule)


def jit_rare_but_for(common: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `jit_rare` where most that reach the rule meet one case of it: `common`, a rule with the
    same arguments, takes the rule's place on a draft, and gives the step up where that is not the
    case.
    """

    def decorated(function: Callable[..., Any]) -> Any:
        rule = _rule(function, _RareRule)
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


class _LanesRuleCode(_PastedCode):
    """Code with a loop over lanes, which is to step `AT_ONCE` vectors in turns.

    A step is one long chain of results that wait for each other, and two chains fill each other's
    pauses (measured: a tenth faster). By itself the compiler takes one, because the variables of
    two do not fit the registers.
    """

    def add_ir_module(self, module: Any) -> None:
        _wish(module, "llvm.loop.interleave.count", ir.Constant(ir.IntType(32), AT_ONCE))
        super().add_ir_module(module)


class _LanesRuleCompiler(_RuleCompiler):
    """The pipeline of a rule whose arrays do not overlap, which lets the compiler put its loop over
    lanes into vectors.
    """

    code = _LanesRuleCode

    def __init__(
        self,
        typingctx: Any,
        targetctx: Any,
        library: Any,
        args: Any,
        return_type: Any,
        flags: Any,
        locals: Any,
    ) -> None:
        flags.noalias = True
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)


def jit_lanes(function: Callable[..., Any]) -> Any:
    """As `jit`, called and not inlined, for a loop over lanes: no two of its arrays may share
    memory, and no pass through it may end with a loop, or the compiler forgets what
    `_LanesRuleCode` asks for.
    """
    return _rule(function, pipeline=_LanesRuleCompiler)
