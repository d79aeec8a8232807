"""What part of the equity an asset works with, and what a position ties up of it."""

from fundenv.compiler.jit import jit
from fundenv.dynamics.access import rules_of
from fundenv.dynamics.types import (
    CAPITAL,
    CAPITAL_SHARED,
    INVERSE,
    MARGIN_MODE,
    MARGIN_PORTFOLIO,
)


@jit
def capital_parts(world, assets):
    """Parts of the equity of which a carry is a share: one per asset, or one for all."""
    return 1.0 if world.codes[CAPITAL] == CAPITAL_SHARED else float(assets)


@jit
def gross_of(world, symbol, leverage):
    """Equity that a carry of one quote unit of perpetual ties up: spot leg and margin, (1 + L) / L.

    Portfolio: (1 + (1 - collateral rate) L) / L, equity pays only for spot that is no collateral.
    Inverse: 1, the coins of the hedge are the margin.
    """
    if world.codes[MARGIN_MODE] == MARGIN_PORTFOLIO:
        return (1.0 + leverage * (1.0 - rules_of(world.rules, symbol).collateral_rate)) / leverage
    return 1.0 if world.contract == INVERSE else (1.0 + leverage) / leverage
