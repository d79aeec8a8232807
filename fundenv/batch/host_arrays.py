"""The arrays that a batch on the CPU owns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fundenv.batch.gate import refuse_too_large
from fundenv.compiler.memory import aligned
from fundenv.dynamics import types as t


class HostArrays(NamedTuple):
    """Arrays of n environments; see `fundenv.dynamics.types` for the columns."""

    # account, legs, ledger and trades in one piece: a single environment copies it for its info
    block: t.Float64
    store: t.Store
    outs: list[t.Out]  # two that share all but `obs`


def host_arrays(n: int, assets: int, width: int, params: t.Float64) -> HostArrays:
    """Arrays of zeros for n environments with `width` observations. Raises `ConfigError` where the
    memory of the machine is too small.
    """
    per_asset = t.N_LEG + t.N_TRADE + t.N_DISPLACED
    numbers = t.N_ACCOUNT + t.N_EPISODE + t.N_LEDGER + assets * per_asset
    refuse_too_large(n, n * (8 * numbers + 3 * 4 * width))
    shapes = ((n, t.N_ACCOUNT), (n, assets, t.N_LEG), (n, t.N_LEDGER), (n, assets, t.N_TRADE))
    sizes = [int(np.prod(shape)) for shape in shapes]
    block = aligned(sum(sizes))
    account, legs, ledger, trades = (
        piece.reshape(shape)
        for piece, shape in zip(np.split(block, np.cumsum(sizes)[:-1]), shapes, strict=True)
    )
    store = t.Store(
        params,
        account,
        legs,
        aligned(n * t.N_EPISODE, np.int64).reshape(n, t.N_EPISODE),
        np.zeros((n, assets, t.N_DISPLACED)),
    )
    shared = (
        np.zeros((n, width), dtype=np.float32),
        np.zeros(n),
        np.zeros(n, dtype=bool),
        np.zeros(n, dtype=bool),
        ledger,
        trades,
        np.zeros((n, 3)),
    )
    outs = [t.Out(aligned(n * width, np.float32).reshape(n, width), *shared) for _ in range(2)]
    return HostArrays(block, store, outs)
