"""A hint to the processor: fetch the market rows that a later environment of the loop will read.

Environments stand on random rows of a market far larger than the caches, so a step would wait about
100 ns for memory (measured). The row that an environment reads next is known beforehand, and asking
for it a few environments ahead hides the wait. The hint changes no number.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from fundenv.compiler.addressed import address_of, data_pointer
from fundenv.compiler.memory import LINE

# _KEEP = 2: into the second level of caches, which waits for more lines at a time than the first
# (measured: up to 10 % faster)
_READ, _KEEP, _DATA = 0, 2, 1


def _ask(builder: Any, pointer: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()] + [ir.IntType(32)] * 3)
    hint = builder.module.declare_intrinsic("llvm.prefetch", [ir.IntType(8).as_pointer()], kind)
    builder.call(hint, [pointer, *(ir.IntType(32)(value) for value in (_READ, _KEEP, _DATA))])


@intrinsic
def _touch(_typing: Any, address: Any) -> Any:
    def emit(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        _ask(builder, builder.inttoptr(args[0], ir.IntType(8).as_pointer()))
        return ir.Constant(ir.IntType(64), 0)

    return types.int64(types.int64), emit


@intrinsic
def prefetch_lines(_typing: Any, array: Any, place: Any, lines: Any) -> Any:
    """Ask for so many cache lines, a constant, of an array from the entry `place` on, which begins
    one.
    """
    if not isinstance(lines, types.IntegerLiteral):
        return None  # numba tries again with a literal
    count = lines.literal_value

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = data_pointer(context, builder, signature.args[0], args[0])
        first = builder.bitcast(builder.gep(data, [args[1]]), ir.IntType(8).as_pointer())
        for line in range(count):
            _ask(builder, builder.gep(first, [ir.Constant(ir.IntType(64), line * LINE)]))
        return context.get_dummy_value()

    return types.void(array, types.int64, lines), emit


def prefetch_row(array: Any, row: int) -> None:
    """Ask for array[row]; nothing happens in plain Python."""


@overload(prefetch_row, inline="never", jit_options={"forceinline": True})
def _row(array: Any, row: Any) -> Any:
    item = array.dtype.bitwidth // 8

    def emit(array: Any, row: Any) -> None:
        size = array.shape[1] * array.shape[2] * item
        start = address_of(array) + row * size
        # a row may reach into one line more than its length fills
        for offset in range(0, size + LINE - 1, LINE):
            _touch(start + offset)

    return emit
