"""Arrays that stand at an address, as compiled code sees them: a pointer, and those of their sizes
that are no constants.

numba's own arrays are structures of seven to eleven numbers, and a rule gets two dozen of them: to
hand them on took a fifth of the time to compile (measured). Rows stand in C order side by side, an
entry is named by one index for every axis, and no index is negative.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, lower_builtin, lower_getattr, register_model


class Addressed(types.Array):  # type: ignore[misc]
    """The type of such an array; sizes: of every axis, None where it is no constant."""

    def __init__(self, dtype: Any, sizes: tuple[int | None, ...]) -> None:
        self.sizes = sizes
        super().__init__(dtype, len(sizes), "C", name=f"addressed({dtype}, {sizes})")

    @property
    def key(self) -> Any:
        """What makes two types the same."""
        return self.dtype, self.sizes

    @property
    def mangling_args(self) -> Any:
        """What stands for the type in the names of compiled functions."""
        return "Addressed", [self.dtype, *(-1 if size is None else size for size in self.sizes)]


@register_model(Addressed)
class _Model(models.StructModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Addressed) -> None:
        open_axes = [axis for axis, size in enumerate(kind.sizes) if size is None]
        members = [("data", types.CPointer(kind.dtype))]
        super().__init__(
            manager, kind, members + [(f"size{axis}", types.intp) for axis in open_axes]
        )


def _model(context: Any, kind: Any) -> Any:
    return context.data_model_manager[kind]


def data_pointer(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Pointer to the first entry of an array, addressed or numba's own."""
    return _model(context, kind).get(builder, array, "data")


def _size(context: Any, builder: Any, kind: Addressed, array: Any, axis: int) -> Any:
    size = kind.sizes[axis]
    if size is not None:
        return ir.Constant(context.get_value_type(types.intp), size)
    return _model(context, kind).get(builder, array, f"size{axis}")


def _entry(context: Any, builder: Any, kind: Addressed, array: Any, index: Any, given: Any) -> Any:
    """Pointer to the entry at an index of type `index`: an integer, or a tuple of them."""
    kinds = index.types if isinstance(index, types.BaseTuple) else (index,)
    if len(kinds) != kind.ndim or not all(isinstance(k, types.Integer) for k in kinds):
        raise NotImplementedError(f"{kind} at {index}: expected an integer for every axis")
    places = cgutils.unpack_tuple(builder, given) if isinstance(index, types.BaseTuple) else [given]
    place = None
    for axis, (one, known) in enumerate(zip(places, kinds, strict=True)):
        step = context.cast(builder, one, known, types.intp)
        if place is not None:
            place = builder.mul(place, _size(context, builder, kind, array, axis))
        place = step if place is None else builder.add(place, step)
    return builder.gep(data_pointer(context, builder, kind, array), [place])


@lower_builtin(operator.getitem, Addressed, types.Integer)
@lower_builtin(operator.getitem, Addressed, types.BaseTuple)
def _get(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    kind, index = signature.args
    return context.unpack_value(
        builder, kind.dtype, _entry(context, builder, kind, args[0], index, args[1])
    )


@lower_builtin(operator.setitem, Addressed, types.Any, types.Any)
def _set(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    kind, index, given = signature.args
    value = context.cast(builder, args[2], given, kind.dtype)
    place = _entry(context, builder, kind, args[0], index, args[1])
    context.pack_value(builder, kind.dtype, value, place)
    return context.get_dummy_value()


@lower_getattr(Addressed, "shape")
def _shape(context: Any, builder: Any, kind: Addressed, array: Any) -> Any:
    sizes = [_size(context, builder, kind, array, axis) for axis in range(kind.ndim)]
    return cgutils.pack_array(builder, sizes)


def _at(scalar: Any) -> Any:
    @intrinsic(prefer_literal=True)
    def at(_typing: Any, address: Any, shape: Any) -> Any:
        sizes = [getattr(size, "literal_value", None) for size in shape.types]
        kind = Addressed(scalar, tuple(sizes))

        def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            data = builder.inttoptr(args[0], context.get_data_type(scalar).as_pointer())
            given = zip(cgutils.unpack_tuple(builder, args[1]), signature.args[1], strict=True)
            open_sizes = [
                context.cast(builder, value, known, types.intp)
                for size, (value, known) in zip(sizes, given, strict=True)
                if size is None
            ]
            return cgutils.make_anonymous_struct(builder, [data, *open_sizes])

        return kind(types.int64, shape), emit

    return at


# (address, shape): the array that stands at an address.
f8_at, f4_at, i8_at, u1_at = map(_at, (types.float64, types.float32, types.int64, types.uint8))


@intrinsic
def address_of(_typing: Any, array: Any) -> Any:
    """Where an array begins in memory."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = data_pointer(context, builder, signature.args[0], args[0])
        return builder.ptrtoint(pointer, context.get_value_type(types.int64))

    return types.int64(array), emit
