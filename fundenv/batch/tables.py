"""The arrays of a batch as compiled code finds them: a table of sizes and addresses, read back with
the sizes that the types fix as constants.

The places in the table, and the functions that read it, follow from the NamedTuples and from the
shapes that stand beside their fields: a new field is written there alone.
"""

from __future__ import annotations

import typing
from typing import Annotated, Any, NamedTuple

import numpy as np

from fundenv.batch.loop import reset_range, step_range
from fundenv.compiler.addressed import f4_at, f8_at, i8_at, u1_at
from fundenv.compiler.generate import tuple_of, written
from fundenv.compiler.jit import jit
from fundenv.dynamics import types as t

_READERS: dict[Any, Any] = {
    np.dtype(np.float64): f8_at,
    np.dtype(np.float32): f4_at,
    np.dtype(np.int64): i8_at,
    np.dtype(np.bool_): u1_at,
}


class Given(NamedTuple):
    """What a call hands in: actions of a step, paths and rows of a reset."""

    actions: Annotated[t.Float32, ("envs", "actions")]
    paths: Annotated[t.Int64, ("envs",)]
    rows: Annotated[t.Int64, ("envs",)]


class Vectors(NamedTuple):
    """Addresses that the vector form needs, 0 without it: the arrays of `facts` and `tape`, and the
    entry point of the plain loop.
    """

    facts: int
    tape: int
    plain: int


class Shape(NamedTuple):
    """Type of the entries of an array, and its sizes: numbers, or names."""

    dtype: Any
    sizes: tuple[Any, ...]


def _shapes(kind: type[Any]) -> dict[str, Shape]:
    """Field -> shape, of the fields that are arrays."""
    found = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if typing.get_origin(hint) is Annotated:
            array, sizes = typing.get_args(hint)
            dtype = np.dtype(typing.get_args(typing.get_args(array)[1])[0])
            found[name] = Shape(dtype, sizes)
    return found


SHAPES = {kind: _shapes(kind) for kind in (t.World, t.Store, t.Out, Given)}
_ALL = [
    (f"{kind.__name__}.{name}", shape)
    for kind, shapes in SHAPES.items()
    for name, shape in shapes.items()
]
SIZES = list(
    dict.fromkeys(size for _, shape in _ALL for size in shape.sizes if str(size).isidentifier())
)
# name of a size, or of an array as `World.bars` -> place in the table
AT = {
    name: place
    for place, name in enumerate(
        [*SIZES, *(name for name, _ in _ALL), *(f"Vectors.{name}" for name in Vectors._fields)]
    )
}
AT_ROWS, AT_ASSETS, AT_SYMBOLS, AT_ENVS = (
    AT[name] for name in ("rows", "assets", "symbols", "envs")
)
AT_OBS, AT_ACTIONS, AT_WIDTH = AT["Out.obs"], AT["Given.actions"], AT["actions"]
AT_EPISODE, AT_TERMINATED, AT_TRUNCATED = (
    AT[name] for name in ("Store.episode", "Out.terminated", "Out.truncated")
)
AT_FACTS, AT_TAPE, AT_PLAIN = (AT[f"Vectors.{name}"] for name in Vectors._fields)


def table_of(world: t.World, store: t.Store, out: t.Out, given: Given) -> t.Int64:
    """The table of these arrays, without the vector form; keep the arrays as long as the table.

    Raises `ValueError` for an array whose type or shape is not the one beside its field, or whose
    rows do not stand side by side.
    """
    sizes: dict[str, int] = {}
    addresses = []
    for group in (world, store, out, given):
        for name, shape in SHAPES[type(group)].items():
            array = getattr(group, name)
            fits = array.dtype == shape.dtype and array.ndim == len(shape.sizes)
            for size, length in zip(shape.sizes, array.shape, strict=False):
                known = sizes.setdefault(size, length) if size in SIZES else size
                fits &= known == length or not isinstance(known, int)
            if not fits or not array.flags.c_contiguous:
                raise ValueError(
                    f"{type(group).__name__}.{name}: {array.dtype} {array.shape}; the kernel"
                    f" addresses {shape.dtype} {shape.sizes} in C order, with {sizes}"
                )
            addresses.append(array.ctypes.data)
    return np.array(
        [*(sizes[name] for name in SIZES), *addresses, *Vectors(0, 0, 0)], dtype=np.int64
    )


def _size(size: Any) -> str:
    """A size as code: assets are a constant of the entry point, other names stand in the table."""
    words = [f"table[{AT[word]}]" if word in AT else word for word in str(size).split()]
    return "assets" if size == "assets" else " ".join(words)


def _reader(
    kind: type[Any], name: str, arguments: str, *rest: str, made: type[Any] | None = None
) -> Any:
    """The rule that makes a `kind` of the table, or `made`, which has its fields; `rest`: fields
    that are no arrays.
    """
    made = made or kind
    scope, entries = {made.__name__: made}, []
    for field, shape in SHAPES[kind].items():
        read = _READERS[shape.dtype]
        scope[f"{shape.dtype}_at"] = read
        sizes = "".join(f"{_size(size)}, " for size in shape.sizes)
        place = AT[f"{kind.__name__}.{field}"]
        entries.append(f"{shape.dtype}_at(table[{place}], ({sizes}))")
    return jit(written(name, arguments, tuple_of(made, [*entries, *rest]), scope))


# assets and contract are constants of the entry point
world_of = _reader(t.World, "world_of", "table, assets, contract", "contract")
mixed_world_of = _reader(
    t.World, "mixed_world_of", "table, assets, contract", "contract", made=t.MixedWorld
)
store_of = _reader(t.Store, "store_of", "table, assets")  # the state of the environments
out_of = _reader(t.Out, "out_of", "table, assets")  # what a step writes
given_of = _reader(Given, "given_of", "table")


@jit
def _step(world, table, assets, first, last):
    step_range(
        world,
        store_of(table, assets),
        out_of(table, assets),
        given_of(table).actions,
        first,
        last,
    )


@jit
def _reset(world, table, assets, first, last):
    given = given_of(table)
    reset_range(
        world,
        store_of(table, assets),
        out_of(table, assets),
        given.paths,
        given.rows,
        first,
        last,
    )


@jit
def step_table(table, assets, contract, first, last):
    """Step the environments first..last-1 by the plain loop."""
    _step(world_of(table, assets, contract), table, assets, first, last)


@jit
def reset_table(table, assets, contract, first, last):
    """Begin episodes of the environments first..last-1."""
    _reset(world_of(table, assets, contract), table, assets, first, last)


@jit
def step_mixed_table(table, assets, contract, first, last):
    """`step_table` of accounts of both kinds of contract."""
    _step(mixed_world_of(table, assets, contract), table, assets, first, last)


@jit
def reset_mixed_table(table, assets, contract, first, last):
    """`reset_table` of accounts of both kinds of contract."""
    _reset(mixed_world_of(table, assets, contract), table, assets, first, last)
