"""How many entries an action has, and how many choices each of them."""

from __future__ import annotations

from fundenv.config import EnvConfig
from fundenv.settings.forms import DIALS, KEEPER


def action_width(config: EnvConfig) -> int:
    """Entries of an action row per asset: one per free dial, plus the gate in discrete and indexed
    mode; four in target mode.
    """
    if config.actions == "target":
        return 4
    gated = config.actions in ("discrete", "indexed")
    return sum(dial in DIALS for dial in config.dials) + (gated and "carry" not in config.dials)


def action_entries(config: EnvConfig, assets: int) -> int:
    """Entries of a whole action row: those of every asset, then the keeper's where it is free."""
    return action_width(config) * assets + (KEEPER in config.dials)


def grid_sizes(config: EnvConfig, assets: int) -> list[int] | None:
    """How many choices each entry of a discrete action row has; None for other actions."""
    if config.actions != "discrete":
        return None
    sizes = [1 + (len(config.carry_grid) if "carry" in config.dials else 1)]
    sizes += [
        len(getattr(config, f"{dial}_grid"))
        for dial in ("hedge", "leverage")
        if dial in config.dials
    ]
    return sizes * assets + ([len(config.keeper_grid)] if KEEPER in config.dials else [])
