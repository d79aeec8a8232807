"""Draws the pictures of the concept pages, each once for a light and once for a dark page."""

from __future__ import annotations

from pathlib import Path


def draw_all(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
