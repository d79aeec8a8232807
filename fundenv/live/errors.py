"""The error of this room."""

from __future__ import annotations

from fundenv.market.files.schema import DataError


class LiveError(DataError):
    """A paper account that cannot go on; one line that names the remedy."""
