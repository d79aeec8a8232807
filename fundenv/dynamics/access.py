"""From stored rows to NamedTuples: column k of a row is field k."""

from fundenv.compiler.generate import tuple_of, written
from fundenv.compiler.jit import jit
from fundenv.dynamics.types import ENTRY_MARGIN, OF_ALL, OF_SOME, SETTLE_ON_SPOT, AssetRules, Params


def _row_of(kind):
    """The rule that makes a `kind` of row r of a table (rows, fields)."""
    entries = [f"rows[r, {k}]" for k in range(len(kind._fields))]
    name = f"{kind.__name__}_of_row"
    return jit(written(name, "rows, r", tuple_of(kind, entries), {kind.__name__: kind}))


_params_of_row = _row_of(Params)
rules_of = _row_of(AssetRules)  # AssetRules of symbol s; rows (S, fields of AssetRules)


@jit
def entry_margin(world, symbol):
    """Whether the venue of a symbol takes the maintenance margin of the value at entry."""
    code = world.codes[ENTRY_MARGIN]
    return code == OF_ALL or (code == OF_SOME and rules_of(world.rules, symbol).entry_margin != 0.0)


@jit
def settles_on_spot(world, symbol):
    """Whether the venue of a symbol pays funding on its oracle or index price."""
    code = world.codes[SETTLE_ON_SPOT]
    return code == OF_ALL or (
        code == OF_SOME and rules_of(world.rules, symbol).settles_on_spot != 0.0
    )


@jit
def params_of(rows, i):
    """Params of environment i; `rows` (1 or n, fields of Params) may hold one row that all
    environments share.
    """
    return _params_of_row(rows, i if rows.shape[0] > 1 else 0)
