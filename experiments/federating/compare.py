"""Local, pooled and federated training, judged on the same days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.federating.client import alone_epochs
from experiments.federating.models import MODELS, Shared, har_means
from experiments.forecasting.printing import p_text
from fundenv.forecast import HORIZONS, Panel
from fundenv.forecast.estimators.har import ClippedHar
from fundenv.forecast.scores import diebold_mariano, rmse, skill

ALL = "all clients"
KEYS = ("client", "symbol", "time", "horizon", "target", "last")
BASE = "har local"


class Section(NamedTuple):
    """A heading, a table (header first) and what its columns mean."""

    heading: str
    cells: list[list[str]]
    legend: str


def pooled(
    panels: Mapping[str, Panel], known: Sequence[Panel], models: Sequence[str],
    groups: tuple[str, ...], seed: int,
) -> dict[str, dict[str, list[Any]]]:  # fmt: skip
    """Forecasts of each client by what all raw data together teach: name of the client -> model ->
    forecasts of its histories. `known`: the training spans.
    """
    together = Panel(tuple(history for panel in known for history in panel))
    found: dict[str, dict[str, list[Any]]] = {name: {} for name in panels}
    for model in models:
        if model == "har":
            fit = ClippedHar()
            fit.learn(together)
            for name, panel in panels.items():
                found[name]["har pooled"] = har_means(panel, fit.weights[""])
            continue
        shared = Shared(model, together, groups, seed)
        shared.begin(shared.moments())
        shared.train(alone_epochs(shared), seed)
        for name, panel in panels.items():
            found[name][f"{model} pooled"] = shared.means(panel)
    return found


def har_difference(weights: Any, known: Sequence[Panel]) -> float:
    """Largest difference of a weight of HAR from that of least squares on all data together."""
    fit = ClippedHar()
    fit.learn(Panel(tuple(history for panel in known for history in panel)))
    return float(np.abs(weights - fit.weights[""]).max())


def figures(forecasts: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of client, horizon and model: rmse, skill over HAR on own data, and over the same model
    on own data with the p-value of a Diebold-Mariano test.
    """
    known = forecasts[np.isfinite(forecasts["target"])]
    names = sorted((name for name in known.columns if name not in KEYS), key=_place)
    rows: list[dict[str, Any]] = []
    for horizon in HORIZONS:
        at = known[known["horizon"] == horizon]
        clients = list(dict.fromkeys(at["client"]))
        for client in [*clients, *([ALL] if len(clients) > 1 else [])]:
            own = at if client == ALL else at[at["client"] == client]
            target = own["target"].to_numpy()
            if len(target) <= horizon + 30:
                continue
            errors = {name: rmse(target, own[name].to_numpy()) for name in names}
            losses = {
                name: ((own[name] - own["target"]) ** 2).groupby(own["time"]).mean()
                for name in names
            }
            for name in names:
                local = f"{name.split()[0]} local"
                zero = np.zeros(len(losses[name]))
                first, second = (np.sqrt(losses[n].to_numpy()) for n in (name, local))
                test = diebold_mariano(zero, first, second, horizon)
                rows.append(
                    {
                        "client": client,
                        "horizon": horizon,
                        "model": name,
                        "n": len(target),
                        "rmse": errors[name],
                        "skill_har": skill(errors[name], errors.get(BASE, errors[local])),
                        "skill_local": skill(errors[name], errors[local]),
                        "p": test.p_value,
                    }
                )
    return rows


def _place(name: str) -> tuple[int, int]:
    model, way = name.split()
    return MODELS.index(model), ("local", "pooled", "federated", "tuned").index(way)


def sections(result: dict[str, Any]) -> list[Section]:
    """Every table."""
    rows = result["rows"]
    clients = list(dict.fromkeys(row["client"] for row in rows))
    first = ALL if ALL in clients else clients[0]
    found = [
        Section(
            f"Skill over the same model on own data, {first}, %",
            _cells(
                rows, first, lambda r: f"{r['skill_local']:+.1f} ({p_text(r['p'])})", local=False
            ),
            "1 - RMSE / RMSE of the client's own fit; two-sided p-value of the Diebold-Mariano test"
            " (HAC, Harvey correction). Tuned: the federated network after local fine-tuning.",
        ),
        Section(
            f"Skill over HAR on own data, {first}, %",
            _cells(rows, first, lambda r: f"{r['skill_har']:+.1f}"),
            "1 - RMSE / RMSE of clipped HAR that each client fits on its own data.",
        ),
    ]
    for client in clients:
        if client != first:
            made = _cells(rows, client, lambda r: f"{r['skill_har']:+.1f}")
            found.append(Section(f"Skill over HAR on own data, {client}, %", made, ""))
    if "har_difference" in result:
        found.append(
            Section(
                "HAR from sums against HAR on pooled data",
                [["largest difference of a weight"], [f"{result['har_difference']:.1e}"]],
                "Equal to rounding: X'X and X'y are all that least squares needs.",
            )
        )
    return found


def _cells(rows: Any, client: str, cell: Any, local: bool = True) -> list[list[str]]:
    known = {(row["model"], row["horizon"]): row for row in rows if row["client"] == client}
    names = [n for n in dict.fromkeys(n for n, _ in known) if local or not n.endswith(" local")]
    horizons = list(dict.fromkeys(h for _, h in known))
    return [["model", *(f"h = {h}" for h in horizons)]] + [
        [name, *(cell(known[name, h]) for h in horizons)] for name in names
    ]


PRIVACY = (
    "Funding rates, prices and premiums are public: anyone can pool them, so nothing here needed"
    " the protection. It matters where clients add what only they hold: order flow, fills,"
    " inventory, positions of customers. The sum itself and the finished weights are seen by all;"
    " with two clients each can subtract its own part. Nothing here is differential privacy."
)


def markdown(result: dict[str, Any]) -> str:
    """The whole comparison as Markdown."""
    start, end = (text[:10] for text in result["test"])
    parts = [f"# Federated forecasters, {start} .. {end} (excluded)"]
    if result["lost"]:
        parts.append(f"Lost on the way: {', '.join(result['lost'])}.")
    for section in sections(result):
        header, *lines = section.cells
        body = [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *lines)]
        parts += [f"## {section.heading}", "\n".join(body), section.legend]
    return "\n\n".join(part for part in [*parts, PRIVACY] if part) + "\n"


def read_forecasts(out: Path, names: Sequence[str]) -> pd.DataFrame:
    """What the clients wrote, those that were lost left out."""
    files = [out / "forecasts" / f"{name}.parquet" for name in names]
    return pd.concat([pd.read_parquet(path) for path in files if path.is_file()], ignore_index=True)


def with_pooled(
    forecasts: pd.DataFrame, panels: Mapping[str, Panel], made: dict[str, dict[str, list[Any]]]
) -> pd.DataFrame:
    """The table with a column for each pooled model."""
    parts = []
    for client, panel in panels.items():
        for i, history in enumerate(panel):
            wide = pd.DataFrame(
                {
                    "client": client,
                    "symbol": history.symbol,
                    "time": np.repeat(pd.to_datetime(history.ns, utc=True), len(HORIZONS)),
                    "horizon": np.tile(HORIZONS, len(history)),
                }
            )
            for name, means in made[client].items():
                wide[name] = np.asarray(means[i]).ravel()
            parts.append(wide)
    return forecasts.merge(pd.concat(parts), on=["client", "symbol", "time", "horizon"], how="left")
