"""numba's pipeline with code libraries of our own: what is linked into a caller is neither
optimised nor emitted before the entry point is (measured: half the computing of a cold start).

The classes that numba keeps for itself are used here and in `jit.py` alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

AT_ONCE = 2  # vectors of environments that are stepped in turns
# for `with`, functions within functions, raised messages that vary, unrolled tuples, expressions of
# whole arrays and parallel loops, none of which a rule has
NEEDLESS = (
    typed_passes.NopythonRewrites,
    typed_passes.DumpParforDiagnostics,
    untyped_passes.WithLifting,
    untyped_passes.InlineClosureLikes,
    untyped_passes.RewriteDynamicRaises,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.FindLiterallyCalls,
    untyped_passes.LiteralUnroll,
    untyped_passes.LiteralPropagationSubPipelinePass,
)


class _PastedCode(JITCodeLibrary):  # type: ignore[misc]
    """Code that is only ever linked into an entry point: nothing is linked, optimised or emitted
    here, the entry point's module is, once for all.

    numba's own library optimises and emits every function together with all that it calls, at every
    level of the call graph again.
    """

    def add_ir_module(self, module: Any) -> None:
        for function in module.functions:
            if function.name == "sqrt":  # the processor's instruction, without C's errno
                function._set_name("llvm.sqrt.f64")
            elif not function.is_declaration:
                function.linkage = "linkonce_odr"  # as numba asks of what is linked elsewhere
        super().add_ir_module(module)

    def add_llvm_module(self, module: Any) -> None:
        """The one module of a rule, as it is: linked, it would be empty, because nobody calls it
        there.
        """
        module.data_layout = self._codegen._data_layout
        self._final_module = module

    def finalize(self) -> None:
        """Left to the entry point, into which this code is linked."""
        self._finalized = True


def _with_callees(libraries: list[Any]) -> list[Any]:
    """Libraries and, of those that link nothing themselves, all that they call: each once."""
    found: dict[Any, None] = {}
    waiting = list(reversed(libraries))
    while waiting:
        library = waiting.pop()
        if library not in found:
            found[library] = None
            if isinstance(library, _PastedCode):
                waiting.extend(reversed(library._linking_libraries))
    return list(found)


class _EntryCode(JITCodeLibrary):  # type: ignore[misc]
    """An entry point with everything that it calls, optimised once: numba's first, cheaper run is
    there to prune reference counts; there are none.
    """

    def finalize(self) -> None:
        """Link all that the entry point calls, then optimise and emit it."""
        self._linking_libraries: list[Any] = _with_callees(self._linking_libraries)
        super().finalize()

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

    def define_pipelines(self) -> list[Any]:
        """numba's passes without those that find nothing to do in a rule (`NEEDLESS`)."""
        (passes,) = super().define_pipelines()
        passes.passes = [each for each in passes.passes if each[0] not in NEEDLESS]
        return [passes]

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


class RuleCompiler(_Pipeline):
    """numba's pipeline up to LLVM's intermediate code, without entry points for Python or C."""

    code, name = _PastedCode, "rule"

    def prepare(self, library: Any, flags: Any) -> None:
        """No object code, no entry points."""
        flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """The rule, with a stand-in for its entry point."""
        # numba finds the code of a callee by its entry point; any object of its own will do
        return super().compile_extra(func)._replace(entry_point=object())


class _LanesRuleCode(_PastedCode):
    """Code with a loop over lanes, which is to step `AT_ONCE` vectors in turns.

    A step is one long chain of results that wait for each other, and two chains fill each other's
    pauses (measured: a tenth faster). By itself the compiler takes one, because the variables of
    two do not fit the registers.
    """

    def add_ir_module(self, module: Any) -> None:
        _wish(module, "llvm.loop.interleave.count", ir.Constant(ir.IntType(32), AT_ONCE))
        super().add_ir_module(module)


class LanesRuleCompiler(RuleCompiler):
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
