"""Squares of numbers that compiled code turns: from rows, one an environment, to lanes and back, by
shuffles of vectors.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fundenv.compiler.memory import data_of, literals


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
        sizes = literals(size)
        if sizes is None:
            return None

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            scratch, table = (data_of(context, builder, signature, args, k) for k in (0, 3))
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
    sizes = literals(size)
    if sizes is None:
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        intp = context.get_value_type(types.intp)
        scratch, table, place = (data_of(context, builder, signature, args, k) for k in (0, 3, 4))

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
