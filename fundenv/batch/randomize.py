"""Domain randomisation: the ranges from which the numbers of an episode are drawn, as the kernel
reads them.
"""

from __future__ import annotations

import difflib

import numpy as np

from fundenv.config import ConfigError, EnvConfig, limits
from fundenv.dynamics import types as t
from fundenv.settings.forms import KEEPER

_KINDS = {"uniform": t.RANGE_UNIFORM, "log": t.RANGE_LOG}
# fields of Params with another name in the config
_SETTINGS = {"frozen_carry": "carry", "frozen_hedge": "hedge", "frozen_leverage": "leverage"}
_OWN_LIMITS = {
    "basis_reversion": (0.0, 1.0),
    "allow_short_spot": (0.0, 1.0),
    "borrow_slope": (0.0, 1e4),  # borrow_used over borrow_norm
    "impact_keep": (0.0, 1.0),
}
# the length of a bar is a fact of the market
DRAWN = tuple(name for name in t.Params._fields if name != "bar_years")


def range_table(config: EnvConfig) -> t.Float64:
    """`World.ranges` (fields of Params, 3) of a config. Raises `ConfigError` for a field that does
    not exist or a range outside its limits.
    """
    table = np.zeros((len(t.Params._fields), 3))
    for name, kind, low, high in config.randomize:
        if name not in DRAWN:
            near = difflib.get_close_matches(name, DRAWN, n=3) or DRAWN
            raise ConfigError(f"randomize has no setting {name!r}; it takes {', '.join(near)}")
        least, most = field_limits(name, config)
        if not least <= low <= high <= most:
            raise ConfigError(
                f"randomize[{name!r}] = {low:g} .. {high:g} leaves {least:g} .. {most:g}; set it"
                " within"
            )
        table[t.Params._fields.index(name)] = _KINDS[kind], low, high
    if KEEPER in config.dials:  # an episode begins with the setting, until the action changes it
        for name in ("keeper_up", "keeper_down"):
            start = getattr(config, name)
            table[t.Params._fields.index(name)] = t.RANGE_UNIFORM, start, start
    return table


def field_limits(name: str, config: EnvConfig) -> tuple[float, float]:
    """Lowest and highest value that a field of Params may take in this config, for `randomize` and
    `per_env`.
    """
    drawn = {known: (low, high) for known, _, low, high in config.randomize}
    if name == "max_leverage":  # the action space is made for the config's own
        used = config.leverage_grid if config.actions in ("discrete", "indexed") else ()
        return (
            max([drawn.get("frozen_leverage", (0.0, config.leverage))[1], *used]),
            config.max_leverage,
        )
    if name == "frozen_leverage":
        return 1.0, config.max_leverage
    return _OWN_LIMITS[name] if name in _OWN_LIMITS else limits(_SETTINGS.get(name, name))
