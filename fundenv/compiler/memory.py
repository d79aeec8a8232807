"""Arrays on cache lines, and arrays that compiled code makes out of memory: at an address, among
its local variables, or as another view of an array.

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


def _literals(shape: Any) -> list[int] | None:
    """The sizes of a shape that is known when the code is compiled; None (numba then tries again
    with literals) where it is not.
    """
    sizes = shape if isinstance(shape, types.BaseTuple) else (shape,)
    return (
        [size.literal_value for size in sizes]
        if all(isinstance(size, types.IntegerLiteral) for size in sizes)
        else None
    )


def _data(context: Any, builder: Any, signature: Any, args: Any, k: int) -> Any:
    """Pointer to the first entry of the array that is argument k."""
    return make_array(signature.args[k])(context, builder, args[k]).data


def _at(scalar: Any) -> Any:
    @intrinsic
    def at(_typing: Any, address: Any, shape: Any) -> Any:
        kind = types.Array(scalar, len(shape), "C")

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = builder.inttoptr(args[0], context.get_data_type(scalar).as_pointer())
            sizes = [
                context.cast(builder, value, given, types.intp)
                for value, given in zip(
                    cgutils.unpack_tuple(builder, args[1]), signature.args[1], strict=True
                )
            ]
            return _array(context, builder, kind, data, sizes)

        return kind(types.int64, shape), emit

    return at


def _local(scalar: Any) -> Any:
    @intrinsic
    def local(_typing: Any, shape: Any) -> Any:
        sizes = _literals(shape)
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


# (address, shape): the array that stands at an address.
f8_at, f4_at, i8_at, u1_at = map(_at, _KINDS)
# (shape of constants): an array among the caller's local variables, its values undefined. It ends
# with the function that makes it, so make it in one that is pasted into its caller (`jit_outer`).
# Addressed by constants alone, its entries become variables in registers.
local_f8, local_f4, local_i8, local_u1 = map(_local, _KINDS)


@intrinsic
def fixed(_typing: Any, array: Any, shape: Any) -> Any:
    """The same memory with a shape of constants, which the compiler folds into the addressing."""
    sizes = _literals(shape)
    if sizes is None:
        return None
    kind = types.Array(array.dtype, len(sizes), "C")

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _array(context, builder, kind, _data(context, builder, signature, args, 0), sizes)

    return kind(array, shape), emit


def _lane(shape_of: Any, steps_of: Any) -> Any:
    """A view of one lane: shape and steps [entries] from the constants that the caller gives."""

    @intrinsic
    def view(_typing: Any, array: Any, first: Any, sizes: Any) -> Any:
        given = _literals(sizes)
        if given is None:
            return None
        shape, steps = shape_of(*given), steps_of(*given)
        kind = types.Array(array.dtype, len(shape), "A")

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = builder.gep(_data(context, builder, signature, args, 0), [args[1]])
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


def _turned(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns of a square of vectors: neighbours change places, then pairs, then fours and so
    on.
    """
    count, step, index = len(rows), 1, ir.IntType(32)
    while step < count:
        for i in (i for i in range(count) if not i & step):
            first = [m + count - step if m & step else m for m in range(count)]
            second = [m + count if m & step else m + step for m in range(count)]
            masks = [
                ir.Constant(ir.VectorType(index, count), [index(m) for m in mask])
                for mask in (first, second)
            ]
            rows[i], rows[i | step] = [
                builder.shuffle_vector(rows[i], rows[i | step], mask) for mask in masks
            ]
        step *= 2
    return rows


def _transposed(context: Any, builder: Any, item: Any, count: int, read: Any, write: Any) -> None:
    """Write the columns of a square whose rows are read; read, write: pointer to row or column
    k.
    """
    pointer, width = (
        ir.VectorType(context.get_data_type(item), count).as_pointer(),
        item.bitwidth // 8,
    )
    loaded = [builder.load(builder.bitcast(read(k), pointer), align=width) for k in range(count)]
    for k, column in enumerate(_turned(builder, loaded)):
        builder.store(column, builder.bitcast(write(k), pointer), align=width)


def _line(context: Any, builder: Any, data: Any, first: Any, step: Any) -> Any:
    """The function that points to entry k of those that stand `step` entries apart."""
    intp = context.get_value_type(types.intp)
    return lambda k: builder.gep(
        data, [builder.add(first, builder.mul(step, ir.Constant(intp, k)))]
    )


def _turn(out: bool) -> Any:
    @intrinsic
    def turn(
        _typing: Any,
        lanes: Any,
        start: Any,
        step: Any,
        rows: Any,
        first: Any,
        stride: Any,
        size: Any,
    ) -> Any:
        sizes = _literals(size)
        if sizes is None:
            return None

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            scratch, table = (_data(context, builder, signature, args, k) for k in (0, 3))
            sides = (
                _line(context, builder, scratch, args[1], args[2]),
                _line(context, builder, table, args[4], args[5]),
            )
            _transposed(context, builder, rows.dtype, sizes[0], *(sides if out else sides[::-1]))
            return context.get_dummy_value()

        return (
            types.void(lanes, types.int64, types.int64, rows, types.int64, types.int64, size),
            emit,
        )

    return turn


# (lanes, start, step, rows, first, stride, n): a square of numbers, n of each of n environments. In
# `rows` environment k has them from first + k x stride on; in `lanes` the first number of all
# environments stands from `start` on, the next one `step` further.
turn_in, turn_out = _turn(False), _turn(True)


@intrinsic
def collect(
    _typing: Any,
    lanes: Any,
    start: Any,
    step: Any,
    rows: Any,
    places: Any,
    lane: Any,
    column: Any,
    size: Any,
) -> Any:
    """`turn_in` of environments whose rows stand anywhere: that of environment k has the numbers
    from places[lane + k] + column on.
    """
    sizes = _literals(size)
    if sizes is None:
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        intp = context.get_value_type(types.intp)
        scratch, table, place = (_data(context, builder, signature, args, k) for k in (0, 3, 4))

        def in_rows(k: int) -> Any:
            offset = builder.load(builder.gep(place, [builder.add(args[5], ir.Constant(intp, k))]))
            return builder.gep(table, [builder.add(offset, args[6])])

        _transposed(
            context,
            builder,
            rows.dtype,
            sizes[0],
            in_rows,
            _line(context, builder, scratch, args[1], args[2]),
        )
        return context.get_dummy_value()

    return (
        types.void(lanes, types.int64, types.int64, rows, places, types.int64, types.int64, size),
        emit,
    )


@intrinsic
def alone(_typing: Any, array: Any, place: Any) -> Any:
    """array[place] of the entries in memory order, loaded by an instruction of its own: the
    compiler forms no gather of it, which is slower.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.gep(_data(context, builder, signature, args, 0), [args[1]])
        return builder.load_atomic(pointer, "unordered", array.dtype.bitwidth // 8)

    return array.dtype(array, types.int64), emit


@intrinsic
def put(_typing: Any, array: Any, place: Any, value: Any) -> Any:
    """array[place] = value of the entries in memory order; place: not negative, which numba would
    look at.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(_data(context, builder, signature, args, 0), [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.int64, array.dtype), emit


@intrinsic
def copy_run(_typing: Any, source: Any, start: Any, target: Any, place: Any, size: Any) -> Any:
    """target[place : place + n] = source[start : start + n] of the entries in memory order, n a
    constant.
    """
    sizes = _literals(size)
    if sizes is None:
        return None
    count = sizes[0]

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = source.dtype.bitwidth // 8
        vector = ir.VectorType(context.get_data_type(source.dtype), count).as_pointer()
        read, write = (
            builder.bitcast(
                builder.gep(_data(context, builder, signature, args, k), [args[k + 1]]), vector
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
