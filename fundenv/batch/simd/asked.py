"""What the actions ask of the environments of a block: `action.decode`, in lanes. See
`fundenv.batch.simd.lanes`.
"""

from __future__ import annotations

from fundenv.batch.simd.draft import N_ASKED
from fundenv.compiler.jit import jit_lanes, jit_outer
from fundenv.compiler.memory import LANES, fixed
from fundenv.dynamics import types as t
from fundenv.dynamics.access import params_of
from fundenv.dynamics.action import decode, dial_of, hedge_of, leverage_at

N_DIALS = 3
MAX_LEVERAGE = t.Params._fields.index("max_leverage")


@jit_lanes
def _turn_dials(dials, log_max, asked):
    """`decode` where an action turns all three dials: the kind that vectors take.

    dials (N_DIALS, LANES) float32; log_max: logarithm of the largest leverage, which no vector can
    take.
    """
    dials, asked = fixed(dials, (N_DIALS, LANES)), fixed(asked, (N_ASKED, LANES))
    for lane in range(LANES):
        asked[0, lane] = 0.0
        asked[1, lane] = dial_of(dials[0, lane])
        asked[2, lane] = hedge_of(dial_of(dials[1, lane]))
        asked[3, lane] = leverage_at(dial_of(dials[2, lane]), log_max)


@jit_outer
def load_asked(world, params, actions, start, log_max, dials, asked):
    """What the actions (n, entries) of the environments start..start+LANES-1 ask; log_max: as for
    `_turn_dials`, dials: scratch.
    """
    if world.codes[t.ACTION_MODE] == t.ACTION_CONTINUOUS and world.codes[t.FREE_DIALS] == 7:
        for lane in range(LANES):
            for c in range(N_DIALS):
                dials[c, lane] = actions[start + lane, c]
        _turn_dials(dials, log_max, asked)
        return
    for lane in range(LANES):
        p = params_of(params, start + lane)
        hold, carry, hedge, leverage = decode(world, p, actions, start + lane, 0)
        asked[0, lane] = 1.0 if hold else 0.0
        asked[1, lane], asked[2, lane], asked[3, lane] = carry, hedge, leverage
