"""Draws the pictures of the concept pages, each once for a light and once for a dark page.

Numbers come from the same formulas that the env uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import _pictures_account as of_account
import _pictures_market as of_market
import _pictures_venues as of_venues
from _picture_sheet import THEMES, Theme
from matplotlib.figure import Figure

PICTURES: dict[str, Callable[[Theme], Iterator[Figure]]] = {
    draw.__name__: draw
    for draw in (
        *(of_account.account, of_account.bar, of_market.funding, of_market.carry),
        *(of_account.margin, of_account.keeper, of_account.dials, of_account.hedge),
        *(of_market.costs, of_market.borrowing, of_market.rewards, of_account.portfolio),
        *(of_market.forecasts, of_venues.venues),
    )
}


def draw_all(out: Path) -> None:
    """Write every picture as NAME-light.svg and NAME-dark.svg; unchanged files stay untouched."""
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        for theme, colours in THEMES.items():
            path, partial = out / f"{name}-{theme}.svg", out / f".{name}-{theme}.svg"
            for figure in draw(colours):
                figure.savefig(partial, transparent=True, metadata={"Date": None})
            if path.is_file() and path.read_bytes() == partial.read_bytes():
                partial.unlink()
            else:
                partial.replace(path)
