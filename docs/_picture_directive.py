"""The directive `picture`: one drawing of `_pictures.py`, light and dark, with a caption."""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.parsers.rst.directives.images import Figure


class Picture(Figure):
    """`{picture} NAME` shows NAME-light.svg or NAME-dark.svg as the reader's theme asks."""

    option_spec: ClassVar[dict[str, Any]] = {"alt": directives.unchanged_required}
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Two figures, of which the theme shows one."""
        name, alt = self.arguments[0], self.options["alt"]
        shown: list[nodes.Node] = []
        for theme in ("light", "dark"):
            self.arguments = [f"/_generated/pictures/{name}-{theme}.svg"]
            self.options = {"alt": alt, "figclass": [f"only-{theme}", "drawing"]}
            shown += super().run()
        return shown
