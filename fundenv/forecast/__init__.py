"""Forecasts of funding: estimators that learn from a span of a market and forecast, at every
settlement, the mean rate of the next 1, 3, 9, 21 and 63 settlements with quantiles.
"""

from fundenv.forecast.attribution import Parts
from fundenv.forecast.base import (
    Forecaster,
    ForecasterSettings,
    Predicted,
    check_causal,
)
from fundenv.forecast.errors import ForecastError
from fundenv.forecast.explained import Explained, explain
from fundenv.forecast.extra import read_extra
from fundenv.forecast.history import HORIZONS, History, Panel, panel_of
from fundenv.forecast.inputs import GROUPS
from fundenv.forecast.registry import forecaster_class, load, make, names
from fundenv.forecast.width import LEVELS

__all__ = [
    "GROUPS",
    "HORIZONS",
    "LEVELS",
    "Explained",
    "ForecastError",
    "Forecaster",
    "ForecasterSettings",
    "History",
    "Panel",
    "Parts",
    "Predicted",
    "check_causal",
    "explain",
    "forecaster_class",
    "load",
    "make",
    "names",
    "panel_of",
    "read_extra",
]
