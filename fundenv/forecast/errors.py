"""The error of this room."""

from __future__ import annotations

from fundenv.market import DataError


class ForecastError(DataError):
    """A forecast that cannot be made; one line names what, the value, the limit and the remedy."""
