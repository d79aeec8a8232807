"""The arrays of a batch as compiled code finds them: a table of sizes and addresses, read back with
the sizes that the types fix as constants.
"""

from __future__ import annotations

from fundenv.batch.loop import reset_range, step_range
from fundenv.compiler.jit import jit, jit_outer
from fundenv.compiler.memory import f4_at, f8_at, i8_at, u1_at
from fundenv.dynamics import types as t
from fundenv.market.layout import N_COLUMNS

N_PARAMS, N_RULES = len(t.Params._fields), len(t.AssetRules._fields)
AT_OBS = 29  # entry of the table that holds the address of the observations
SIZES = (
    "rows",
    "assets",
    "features",
    "paths",
    "symbols",
    "brackets",
    "grid",
    "param_rows",
    "envs",
    "observations",
    "actions",
    "eras",
)


@jit
def world_of(table, assets, contract):
    """The world; assets and contract are constants of the entry point."""
    rows, features, paths, symbols, brackets, grid = (
        table[0],
        table[2],
        table[3],
        table[4],
        table[5],
        table[6],
    )
    return t.World(
        f8_at(table[12], (rows, assets, N_COLUMNS)),
        f4_at(table[13], (rows, assets, features)),
        i8_at(table[14], (paths, 2)),
        i8_at(table[15], (paths, 3)),
        i8_at(table[16], (table[11],)),
        i8_at(table[17], (table[11] * paths, assets)),
        f8_at(table[18], (symbols, N_RULES)),
        f8_at(table[19], (symbols, brackets, 4)),
        i8_at(table[20], (t.N_CODES,)),
        f8_at(table[21], (3, grid)),
        f8_at(table[22], (features,)),
        f8_at(table[23], (features, 4)),
        f8_at(table[24], (N_PARAMS, 3)),
        contract,
    )


@jit
def store_of(table, assets):
    """The state of the environments."""
    envs = table[8]
    return t.Store(
        f8_at(table[25], (table[7], N_PARAMS)),
        f8_at(table[26], (envs, t.N_ACCOUNT)),
        f8_at(table[27], (envs, assets, t.N_LEG)),
        i8_at(table[28], (envs, t.N_EPISODE)),
    )


@jit
def out_of(table, assets):
    """What a step writes."""
    envs, width = table[8], table[9]
    return t.Out(
        f4_at(table[AT_OBS], (envs, width)),
        f4_at(table[30], (envs, width)),
        f8_at(table[31], (envs,)),
        u1_at(table[32], (envs,)),
        u1_at(table[33], (envs,)),
        f8_at(table[34], (envs, t.N_LEDGER)),
        f8_at(table[35], (envs, assets, t.N_TRADE)),
        f8_at(table[36], (envs, 3)),
    )


@jit_outer
def step_table(table, assets, contract, first, last):
    """Step the environments first..last-1 by the plain loop."""
    actions = f4_at(table[37], (table[8], table[10]))
    step_range(
        world_of(table, assets, contract),
        store_of(table, assets),
        out_of(table, assets),
        actions,
        first,
        last,
    )


@jit_outer
def reset_table(table, assets, contract, first, last):
    """Begin episodes of the environments first..last-1."""
    paths, rows = i8_at(table[38], (table[8],)), i8_at(table[39], (table[8],))
    reset_range(
        world_of(table, assets, contract),
        store_of(table, assets),
        out_of(table, assets),
        paths,
        rows,
        first,
        last,
    )
