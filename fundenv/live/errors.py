"""The error of this package."""

from __future__ import annotations

from fundenv.market.files.schema import DataError


class LiveError(DataError):
    """A paper account cannot go on; one line names the reason and the remedy."""
