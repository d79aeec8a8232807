"""The error of this package."""

from __future__ import annotations

from fundenv.market import DataError


class ForecastError(DataError):
    """A forecast cannot be made; one line names the thing, the value, the limit and the remedy."""
