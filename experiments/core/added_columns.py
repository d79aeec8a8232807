"""Columns that a command adds to its market: the user's own, and forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.core.provenance import PROVENANCE
from experiments.core.run_folder import RunError, read_json
from fundenv.market import Market

FIELDS = ("extra", "extra_scales", "forecast", "forecast_horizons", "forecast_refit")


def added(market: Market, args: Any) -> Market:
    """The market with the columns that the fields `FIELDS` of the arguments name."""
    if args.extra is None and args.extra_scales:
        raise RunError(f"--extra-scales {' '.join(args.extra_scales)} needs --extra FILE")
    if args.extra is None and args.forecast is None:
        return market
    if args.train_on == "generator":
        flag = "--extra" if args.extra is not None else "--forecast"
        raise RunError(
            f"{flag}: coins of the generator have no such column; leave out --train-on generator"
        )
    from fundenv.forecast import observed, read_extra

    table = None
    if args.extra is not None:
        table = read_extra(args.extra)
        market = observed.with_extra(market, table, _scales(args.extra_scales))
    if args.forecast is not None:
        market = observed.with_forecast_columns(
            market,
            args.forecast,
            horizons=args.forecast_horizons,
            refit_months=args.forecast_refit,
            extra=table,
        )
    return market


def _scales(items: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for item in items:
        name, _, number = item.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            raise RunError(
                f"--extra-scales {item}: expected NAME=NUMBER, e.g. imbalance=0.3"
            ) from None
    return found


def recorded(agent: Path) -> dict[str, Any]:
    """The fields `FIELDS` of the run that wrote the folder of an agent; empty where it added no
    column.
    """
    for folder in (agent, *agent.parents[:2]):
        if (folder / PROVENANCE).is_file() and (folder / "config.json").is_file():
            config = read_json(folder / "config.json")
            if not (config.get("extra") or config.get("forecast")):
                return {}
            found = {name: config[name] for name in FIELDS}
            found = {n: tuple(v) if isinstance(v, list) else v for n, v in found.items()}
            if found["extra"] is not None:
                found["extra"] = Path(found["extra"])
            return found
    return {}


def said(columns: dict[str, Any]) -> str:
    """The flags that add these columns."""
    words = []
    if columns["extra"] is not None:
        words += ["--extra", str(columns["extra"])]
        if columns["extra_scales"]:
            words += ["--extra-scales", *columns["extra_scales"]]
    if columns["forecast"] is not None:
        words += ["--forecast", columns["forecast"], "--forecast-horizons"]
        words += [str(horizon) for horizon in columns["forecast_horizons"]]
        words += ["--forecast-refit", str(columns["forecast_refit"])]
    return " ".join(words)
