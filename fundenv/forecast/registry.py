"""The table of forecasters: name -> import string of the class, so that listing the names loads no
library. A forecaster of your own needs no line here: write `package.module:Class` in place of a
name, or declare an entry point in the group `fundenv.forecasters` of your own package.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from fundenv.forecast.base import Forecaster
from fundenv.forecast.errors import ForecastError
from fundenv.forecast.saved import read
from fundenv.settings import nearest, read_pairs

GROUP = "fundenv.forecasters"  # entry points of users' packages
_OWN = "fundenv.forecast.estimators"
_NETS = "fundenv.forecast.networks"
FORECASTERS = {
    "no_change": f"{_OWN}.no_change:NoChange",
    "ewma": f"{_OWN}.ewma:Ewma",
    "gaussian_ewma": f"{_OWN}.ewma:GaussianEwma",
    "ar": f"{_OWN}.ar:Ar",
    "arima": f"{_OWN}.arima:Arima",
    "garch": f"{_OWN}.garch:Garch",
    "har": f"{_OWN}.har:Har",
    "clipped_har": f"{_OWN}.har:ClippedHar",
    "ridge": f"{_OWN}.ridge:Ridge",
    "boosting": f"{_OWN}.boosting:Boosting",
    "residual_har": f"{_OWN}.residual:ResidualHar",
    "nlinear": f"{_NETS}.nlinear:NLinear",
    "lstm": f"{_NETS}.lstm:Lstm",
    "tcn": f"{_NETS}.tcn:Tcn",
    "transformer": f"{_NETS}.transformer:PatchTransformer",
    "ensemble": f"{_OWN}.ensemble:Ensemble",
}
NEEDS = {  # top-level module -> the extra of fundenv that installs it
    "statsmodels": "forecast", "arch": "forecast", "scipy": "forecast",
    "lightgbm": "forecast", "scoringrules": "forecast", "torch": "forecast",
    "threadpoolctl": "forecast", "captum": "forecast",
}  # fmt: skip


@cache
def table() -> dict[str, str]:
    """Name -> import string of every forecaster: the project's, then those of installed packages.

    Raises `ForecastError` where an installed package uses a name that is taken.
    """
    found = dict(FORECASTERS)
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        if found.get(point.name, point.value) != point.value:
            raise ForecastError(
                f"two forecasters are called {point.name!r}, {found[point.name]} and {point.value};"
                " rename the entry point of the second"
            )
        found[point.name] = point.value
    return found


def names() -> list[str]:
    """Names of all forecasters."""
    return list(table())


def described() -> dict[str, str]:
    """Name -> the first sentence of its class; imports every one that can be imported."""
    found = {}
    for name in names():
        try:
            text = " ".join((forecaster_class(name).__doc__ or "").split())
        except ForecastError as error:
            found[name] = str(error)
            continue
        found[name] = re.split(r"\.\s(?=[A-Z])", text)[0].rstrip(".") + "."
    return found


def forecaster_class(name: str) -> type[Forecaster]:
    """The class of a forecaster: by its name, or `package.module:Class` for one of your own.

    Raises `ForecastError` for an unknown name, a module that is missing or a class that is none.
    """
    place = table().get(name, name if ":" in name else None)
    if place is None:
        raise ForecastError(
            f"unknown forecaster {name!r}; {nearest(name, names())}; your own: package.module:Class"
        )
    module, _, attribute = place.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise ForecastError(f"forecaster {place!r} is no place; write package.module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        top = (error.name or "").split(".")[0]
        if top in NEEDS:
            raise ForecastError(missing(name, top)) from None
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise
        raise ForecastError(
            f"forecaster {place}: no module {error.name!r}; install it, or run where Python finds"
            " it"
        ) from None
    except AttributeError:
        raise ForecastError(f"forecaster {place}: module {module} has no {attribute!r}") from None
    if not (isinstance(found, type) and issubclass(found, Forecaster)):
        raise ForecastError(
            f"forecaster {place} is no subclass of fundenv.forecast.Forecaster; derive it from that"
        )
    if "name" not in vars(found):
        found.name = name
    return found


def missing(name: str, library: str) -> str:
    """The error text for a library that is not installed."""
    return (
        f"forecaster {name} needs {library}; install it with: pip install"
        f" 'fundenv[{NEEDS.get(library, 'forecast')}]'"
    )


def make(
    name: str, *, inputs: Sequence[str] | None = None, seed: int = 0, **params: Any
) -> Forecaster:
    """A new forecaster: `make("ewma", span=9)` or `make("ewma span=9")`, as commands name it;
    `make("ridge", inputs=["funding", "basis"])`.
    """
    place, *words = name.split() or [name]
    if not all("=" in word for word in words):
        place, words = name, []
    given = read_pairs(words, ForecastError) | params
    kind = forecaster_class(place)
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    return kind(kind.parameters(**values), inputs=inputs, seed=seed)


def load(folder: str | os.PathLike[str]) -> Forecaster:
    """The forecaster that `save` wrote. Raises `ForecastError` where a file is missing, damaged or
    not the one that was saved. Loading runs the class that the record names: load only files that
    you trust.
    """
    record, state = read(Path(folder))
    name = record["forecaster"]
    made = make(
        name if name in table() else record["class"],
        inputs=record["inputs"] or None,
        seed=record["seed"],
        **record["params"],
    )
    made.inputs = tuple(record["inputs"])
    made.data_hash, made.fitted_until = record["data"], record["fitted_until"]
    made.width.restore(state)
    made.restore(state)
    return made
