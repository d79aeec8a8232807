"""Columns that a command adds to its market: the user's own, and forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from experiments.core.provenance import PROVENANCE
from experiments.core.run_folder import RunError, read_json
from fundenv.market import Market

SUFFIXES = (".csv", ".parquet")
FIELDS = ("extra", "forecast", "forecast_horizons", "forecast_refit")


class Own(NamedTuple):
    """What --extra names: a table of the user's, the scales of its columns, and the columns that
    lie in files of --data.
    """

    table: pd.DataFrame | None
    scales: dict[str, float]
    in_data: dict[str, float]


def parted(items: tuple[str, ...]) -> Own:
    """The items of --extra, FILE or NAME=SCALE, read and checked."""
    files = [item for item in items if "=" not in item and Path(item).suffix in SUFFIXES]
    given = scales(tuple(item for item in items if item not in files))
    if len(files) > 1:
        raise RunError(f"--extra {' '.join(files)}: give one file, with all columns in it")
    if not files:
        return Own(None, {}, given)
    from fundenv.forecast import read_extra

    table = read_extra(files[0])
    own = {name: scale for name, scale in given.items() if name in table.columns}
    return Own(table, own, {name: given[name] for name in given if name not in own})


def scales(items: tuple[str, ...]) -> dict[str, float]:
    """NAME=SCALE texts of --extra."""
    found = {}
    for item in items:
        name, _, text = item.rpartition("=")
        try:
            scale = float(text)
        except ValueError:
            scale = 0.0
        if not (name and 0.0 < scale < float("inf")):
            raise RunError(
                f"--extra {item}: expected NAME=SCALE with a scale above 0, a typical size of the"
                " values, e.g. open_interest=1e4"
            )
        found[name] = scale
    return found


def added(market: Market, args: Any, own: Own) -> Market:
    """The market with the columns of the user's table and the forecasts that the arguments name."""
    if own.table is None and args.forecast is None:
        return market
    if args.train_on == "generator":
        flag = "--extra" if own.table is not None else "--forecast"
        raise RunError(
            f"{flag}: coins of the generator have no such column; leave out --train-on generator"
        )
    from fundenv.forecast import observed

    if own.table is not None:
        market = observed.with_extra(market, own.table, own.scales)
    if args.forecast is not None:
        market = observed.with_forecast_columns(
            market,
            args.forecast,
            horizons=args.forecast_horizons or observed.SHOWN,
            refit_months=observed.REFIT_MONTHS
            if args.forecast_refit is None
            else args.forecast_refit,
            extra=own.table,
        )
    return market


def recorded(agent: Path) -> dict[str, Any]:
    """The fields `FIELDS` of the run that wrote the folder of an agent; empty where it added no
    column.
    """
    for folder in (agent, *agent.parents[:2]):
        if (folder / PROVENANCE).is_file() and (folder / "config.json").is_file():
            config = read_json(folder / "config.json")
            if not (config.get("extra") or config.get("forecast")):
                return {}
            found = {name: config[name] for name in FIELDS if name in config}
            return {n: tuple(v) if isinstance(v, list) else v for n, v in found.items()}
    return {}


def said(columns: dict[str, Any]) -> str:
    """The flags that add these columns."""
    words = []
    if columns.get("extra"):
        words += ["--extra", *columns["extra"]]
    if columns.get("forecast") is not None:
        words += ["--forecast", columns["forecast"]]
        if columns["forecast_horizons"]:
            words += ["--forecast-horizons", *map(str, columns["forecast_horizons"])]
        if columns["forecast_refit"] is not None:
            words += ["--forecast-refit", str(columns["forecast_refit"])]
    return " ".join(words)
