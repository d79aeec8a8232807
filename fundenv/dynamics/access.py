"""From stored rows to NamedTuples."""

from fundenv.compiler.jit import jit
from fundenv.dynamics.types import AssetRules, Params


@jit
def params_of(rows, i):
    """Params of environment i; `rows` (1 or n, fields of Params) may hold one row that all
    environments share.
    """
    r = i if rows.shape[0] > 1 else 0
    return Params(
        rows[r, 0],
        rows[r, 1],
        rows[r, 2],
        rows[r, 3],
        rows[r, 4],
        rows[r, 5],
        rows[r, 6],
        rows[r, 7],
        rows[r, 8],
        rows[r, 9],
        rows[r, 10],
        rows[r, 11],
        rows[r, 12],
        rows[r, 13],
        rows[r, 14],
        rows[r, 15],
        rows[r, 16],
        rows[r, 17],
        rows[r, 18],
        rows[r, 19],
        rows[r, 20],
        rows[r, 21],
        rows[r, 22],
        rows[r, 23],
        rows[r, 24],
        rows[r, 25],
    )


@jit
def rules_of(rows, s):
    """AssetRules of symbol s; rows (S, fields of AssetRules)."""
    return AssetRules(
        rows[s, 0],
        rows[s, 1],
        rows[s, 2],
        rows[s, 3],
        rows[s, 4],
        rows[s, 5],
        rows[s, 6],
        rows[s, 7],
        rows[s, 8],
        rows[s, 9],
        rows[s, 10],
        rows[s, 11],
        rows[s, 12],
        rows[s, 13],
    )
