"""Arrays on cache lines, and arrays that compiled code makes out of memory: among its local
variables, or as another view of an array.

What compiled code makes owns no memory, so nothing counts references. "Lanes" are the environments
that stand side by side in a local array (columns, rows, LANES).
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from fundenv.compiler.addressed import data_pointer

LINE, HUGE = 64, 2**21  # bytes of a cache line and of a huge page
# environments that are stepped side by side: two vectors of eight doubles; 8 and 32 are slower
LANES = 16
_KINDS = (types.float64, types.float32, types.int64, types.uint8)


def aligned(count: int, dtype: Any = np.float64) -> Any:
    """Zeros (count,) that begin on a cache line; a large array stands in huge pages where the
    system has them (measured: up to 8 % faster, because huge pages need fewer
    entries of the translation buffer).
    """
    size = count * np.dtype(dtype).itemsize
    large = size >= HUGE // 2 and hasattr(mmap, "MADV_HUGEPAGE")
    raw, page = (
        (_in_huge_pages(size + HUGE), HUGE) if large else (np.zeros(size + LINE, np.uint8), LINE)
    )
    skip = -raw.ctypes.data % page
    return raw[skip : skip + size].view(dtype)


def _in_huge_pages(size: int) -> Any:
    memory = mmap.mmap(-1, -(-size // HUGE) * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel that was built without huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)


def _array(
    context: Any,
    builder: Any,
    kind: Any,
    data: Any,
    shape: list[Any],
    steps: list[Any] | None = None,
) -> Any:
    """An array of the type `kind`, in C order unless `steps` [entries] are given."""
    intp = context.get_value_type(types.intp)
    item = ir.Constant(intp, kind.dtype.bitwidth // 8)
    sizes = [size if isinstance(size, ir.Value) else ir.Constant(intp, size) for size in shape]
    if steps is None:
        strides: list[Any] = []
        width = item
        for size in reversed(sizes):
            strides.insert(0, width)
            width = builder.mul(width, size)
    else:
        strides = [ir.Constant(intp, item.constant * step) for step in steps]
    array = make_array(kind)(context, builder)
    shape_, strides_ = (cgutils.pack_array(builder, values) for values in (sizes, strides))
    populate_array(
        array, data=data, shape=shape_, strides=strides_, itemsize=item, meminfo=None, parent=None
    )
    return array._getvalue()


def literals(shape: Any) -> list[int] | None:
    """The sizes of a shape that is known when the code is compiled; None (numba then tries again
    with literals) where it is not.
    """
    sizes = shape if isinstance(shape, types.BaseTuple) else (shape,)
    return (
        [size.literal_value for size in sizes]
        if all(isinstance(size, types.IntegerLiteral) for size in sizes)
        else None
    )


def data_of(context: Any, builder: Any, signature: Any, args: Any, k: int) -> Any:
    """Pointer to the first entry of the array that is argument k."""
    return data_pointer(context, builder, signature.args[k], args[k])


def _local(scalar: Any) -> Any:
    @intrinsic
    def local(_typing: Any, shape: Any) -> Any:
        sizes = literals(shape)
        if sizes is None:
            return None
        kind = types.Array(scalar, len(sizes), "C")

        def emit(context: Any, builder: Any, _signature: Any, _args: Any) -> Any:
            item = context.get_data_type(scalar)
            with builder.goto_entry_block():
                place = builder.alloca(ir.ArrayType(item, prod(sizes)))
                place.align = 64
            return _array(context, builder, kind, builder.bitcast(place, item.as_pointer()), sizes)

        return kind(shape), emit

    return local


# (shape of constants): an array among the caller's local variables, its values undefined. It ends
# with the function that makes it, so make it in one that is pasted into its caller (`jit_outer`).
# Addressed by constants alone, its entries become variables in registers.
local_f8, local_f4, local_i8, local_u1 = map(_local, _KINDS)


@intrinsic
def fixed(_typing: Any, array: Any, shape: Any) -> Any:
    """The same memory with a shape of constants, which the compiler folds into the addressing."""
    sizes = literals(shape)
    if sizes is None:
        return None
    kind = types.Array(array.dtype, len(sizes), "C")

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _array(context, builder, kind, data_of(context, builder, signature, args, 0), sizes)

    return kind(array, shape), emit


def _lane(shape_of: Any, steps_of: Any) -> Any:
    """A view of one lane: shape and steps [entries] from the constants that the caller gives."""

    @intrinsic
    def view(_typing: Any, array: Any, first: Any, sizes: Any) -> Any:
        given = literals(sizes)
        if given is None:
            return None
        shape, steps = shape_of(*given), steps_of(*given)
        kind = types.Array(array.dtype, len(shape), "A")

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = builder.gep(data_of(context, builder, signature, args, 0), [args[1]])
            return _array(context, builder, kind, data, shape, steps)

        return kind(array, types.int64, sizes), emit

    return view


# (array, place of the first entry, (columns, rows)): an array (rows, 1, columns), as bars and
# features are.
lane_rows = _lane(
    lambda columns, rows: [rows, 1, columns], lambda columns, rows: [LANES, LANES, rows * LANES]
)
# (array, place, (columns,)): an array (1, columns), as the rules of one symbol are.
lane_table = _lane(lambda columns: [1, columns], lambda columns: [LANES, LANES])


@intrinsic
def alone(_typing: Any, array: Any, place: Any) -> Any:
    """array[place] of the entries in memory order, loaded by an instruction of its own: the
    compiler forms no gather of it, which is slower.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.gep(data_of(context, builder, signature, args, 0), [args[1]])
        return builder.load_atomic(pointer, "unordered", array.dtype.bitwidth // 8)

    return array.dtype(array, types.int64), emit


@intrinsic
def put(_typing: Any, array: Any, place: Any, value: Any) -> Any:
    """array[place] = value of the entries in memory order; place: not negative, which numba would
    look at.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(
            args[2], builder.gep(data_of(context, builder, signature, args, 0), [args[1]])
        )
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), emit


@intrinsic
def copy_run(_typing: Any, source: Any, start: Any, target: Any, place: Any, size: Any) -> Any:
    """target[place : place + n] = source[start : start + n] of the entries in memory order, n a
    constant.
    """
    sizes = literals(size)
    if sizes is None:
        return None
    count = sizes[0]

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = source.dtype.bitwidth // 8
        vector = ir.VectorType(context.get_data_type(source.dtype), count).as_pointer()
        read, write = (
            builder.bitcast(
                builder.gep(data_of(context, builder, signature, args, k), [args[k + 1]]), vector
            )
            for k in (0, 2)
        )
        builder.store(builder.load(read, align=width), write, align=width)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, size), emit


@intrinsic
def call_entry(_typing: Any, address: Any, table: Any, first: Any, last: Any) -> Any:
    """Call a compiled entry point that stands at an address, as `fundenv.batch.entry` compiles
    them.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wanted = [context.get_value_type(kind) for kind in signature.args[1:]]
        entry = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), wanted).as_pointer())
        builder.call(entry, args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, table, types.int64, types.int64), emit
