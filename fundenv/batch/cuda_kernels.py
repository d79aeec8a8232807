"""The kernels of the GPU, and the arrays that they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda
from numba.cuda.core import config
from numpy.typing import NDArray

from fundenv.batch.loop import reset_env, step_env
from fundenv.compiler.cache import cache_folder
from fundenv.compiler.generate import tuple_of, written
from fundenv.dynamics import types as t

# The world with its contract as a constant, so that the rules of the other kind vanish from the
# kernel.
_of_contract = written(
    "_of_contract",
    "world, contract",
    tuple_of(t.World, [*(f"world.{name}" for name in t.World._fields[:-1]), "contract"]),
    {"World": t.World},
)
_pinned = cuda.jit(device=True, inline="always")(_of_contract)


def _step_kernel(world, store, out, actions):
    i = cuda.grid(1)
    if i < store.account.shape[0]:
        step_env(_pinned(world, 0), store, out, actions, i)


def _reset_kernel(world, store, out, paths, rows, mask):
    i = cuda.grid(1)
    if i < store.account.shape[0] and mask[i]:
        reset_env(_pinned(world, 0), store, out, paths, rows, i)


def _step_inverse_kernel(world, store, out, actions):
    i = cuda.grid(1)
    if i < store.account.shape[0]:
        step_env(_pinned(world, 1), store, out, actions, i)


def _reset_inverse_kernel(world, store, out, paths, rows, mask):
    i = cuda.grid(1)
    if i < store.account.shape[0] and mask[i]:
        reset_env(_pinned(world, 1), store, out, paths, rows, i)


def _step_placed_kernel(world, store, out, actions):
    i = cuda.grid(1)
    if i < store.account.shape[0]:
        step_env(_pinned(world, 2), store, out, actions, i)


def _reset_placed_kernel(world, store, out, paths, rows, mask):
    i = cuda.grid(1)
    if i < store.account.shape[0] and mask[i]:
        reset_env(_pinned(world, 2), store, out, paths, rows, i)


KERNELS: dict[str, Callable[..., None]] = {
    "step": _step_kernel,
    "reset": _reset_kernel,
    "step_inverse": _step_inverse_kernel,
    "reset_inverse": _reset_inverse_kernel,
    "step_placed": _step_placed_kernel,
    "reset_placed": _reset_placed_kernel,
}


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """What numba-cuda compiles inside rounds every product before it is added (NVVM's option
    fma=0), which `cuda.jit` cannot be asked for.
    """
    from numba.cuda import compiler, dispatcher

    plain = compiler.compile_cuda

    def compile_exactly(
        *args: Any, nvvm_options: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        return plain(*args, nvvm_options={**(nvvm_options or {}), "fma": False}, **kwargs)

    compiler.compile_cuda = dispatcher.compile_cuda = compile_exactly
    try:
        yield
    finally:
        compiler.compile_cuda = dispatcher.compile_cuda = plain


def simulated() -> bool:
    """Whether numba's CUDA simulator stands in for a device (NUMBA_ENABLE_CUDASIM=1, with
    NUMBA_DISABLE_JIT=1): Python threads, for tests.
    """
    return bool(config.ENABLE_CUDASIM)


@cache
def dispatcher(name: str, max_registers: int | None) -> Any:
    """The kernel of that name, compiled when it is first launched, with at most so many registers
    a thread.
    """
    if simulated():
        return cuda.jit(KERNELS[name])
    folder, others = cache_folder(), config.CACHE_DIR
    config.CACHE_DIR = folder or others
    try:
        return cuda.jit(cache=folder is not None, lto=False, max_registers=max_registers)(
            KERNELS[name]
        )
    finally:
        config.CACHE_DIR = others


class Arrays(NamedTuple):
    """Everything a batch of n environments owns apart from the world; the environment is the
    fastest axis of each array.
    """

    store: Any  # Store
    outs: tuple[Any, Any]  # two Out that share all but `obs`
    actions: Any  # (n, A x entries per asset) float32
    paths: Any  # (n,) int64: where `reset` begins
    rows: Any  # (n,) int64
    mask: Any  # (n,) bool: which environments `reset` begins anew


def arrays(
    n: int,
    assets: int,
    width: int,
    entries: int,
    params: t.Float64,
    place: Callable[[NDArray[Any]], Any],
) -> Arrays:
    """Arrays of zeros for n environments with `width` observations; `place` puts each one where it
    shall live.
    """

    def zeros(*shape: int, dtype: Any = np.float64) -> Any:
        return place(np.zeros(shape, dtype=dtype, order="F"))

    store = t.Store(
        place(params),
        zeros(n, t.N_ACCOUNT),
        zeros(n, assets, t.N_LEG),
        zeros(n, t.N_EPISODE, dtype=np.int64),
        zeros(n, assets, t.N_DISPLACED),
    )
    shared = (
        zeros(n, width, dtype=np.float32),
        zeros(n),
        zeros(n, dtype=np.bool_),
        zeros(n, dtype=np.bool_),
        zeros(n, t.N_LEDGER),
        zeros(n, assets, t.N_TRADE),
        zeros(n, 3),
    )
    first, second = (t.Out(zeros(n, width, dtype=np.float32), *shared) for _ in range(2))
    paths, rows = (zeros(n, dtype=np.int64) for _ in range(2))
    return Arrays(
        store,
        (first, second),
        zeros(n, entries, dtype=np.float32),
        paths,
        rows,
        zeros(n, dtype=np.bool_),
    )


def arguments(world: t.World, own: Arrays, out: t.Out) -> dict[str, tuple[Any, ...]]:
    """The arguments of each kernel."""
    return {
        "step": (world, own.store, out, own.actions),
        "reset": (world, own.store, out, own.paths, own.rows, own.mask),
    }
