"""Trains forecasters over several clients that keep their data, and compares them on the same days
with forecasters of one client alone and of pooled data.

Each client is a process with one coin, or with one folder of files. HAR needs one exchange of X'X
and X'y; networks take rounds of federated averaging, then local fine-tuning. Clients mask what they
send, so the server sees only sums.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from experiments.core.cli import run
from experiments.core.market_args import span_edges
from experiments.core.provenance import provenance
from experiments.core.run_folder import RunError, open_run, write_json, write_text
from fundenv.forecast import panel_of
from fundenv.market import Market, load_market, synthetic_market

MADE = ("btc", "eth", "alt")  # coins of the generator, without --data


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the federation."""

    data: Path | None = None
    """Folder of Parquet or CSV files, each symbol one client. Default, without --clients: three
    synthetic coins.
    """
    symbols: tuple[str, ...] = ()
    """Symbols as in the file names; none: all that the folder has for the venue."""
    venue: str = "binance"
    """Exchange whose files --data holds: a name of the package, or the path of a TOML."""
    clients: tuple[str, ...] = ()
    """In place of --data: clients that have a folder each, FOLDER or FOLDER:VENUE."""
    accept: tuple[str, ...] = ()
    """Findings of the plausibility check to accept, KIND or KIND:SYMBOL."""
    models: tuple[Literal["har", "nlinear", "lstm"], ...] = ("har", "nlinear", "lstm")
    """What the clients learn together."""
    test: str | None = None
    """Span to evaluate on, START:END, UTC, both included, days, months or years; default: the last
    third of the data.
    """
    fit_from: str | None = None
    """First day, month or year that clients learn from; default: the first of the data."""
    rounds: int = 10
    """Rounds of federated averaging of a network."""
    epochs: int = 1
    """Passes over its own data that a client makes in a round."""
    timeout: float = 600.0
    """Seconds that a client has for one answer before it counts as lost."""
    seed: int = 0
    """Seed of the networks."""
    out: Path | None = None
    """Folder of the run; default: runs/federated-<time>."""


def main(args: Args) -> None:
    """Train together, compare, print."""
    try:
        from experiments.federating import compare, server
        from experiments.federating.client import Task
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in (
            "cryptography",
            "torch",
            "scipy",
            "statsmodels",
        ):
            raise
        raise RunError(
            f"federated needs {error.name}; install it with: pip install 'fundenv[federated]'"
        ) from None
    check(args)
    loads = loads_of(args)
    markets = {name: load() for name, load in loads.items()}  # of the comparison, not of the server
    panels = {name: panel_of(market) for name, market in markets.items()}
    start, end = span(args, list(markets.values()))
    since = (
        span_edges(f"{args.fit_from}:{args.fit_from}", "--fit-from")[0] if args.fit_from else None
    )
    written = json.loads(json.dumps(dataclasses.asdict(args), default=str))
    out = open_run(args.out, "federated", written, (), resume=False)
    write_json(out / "provenance.json", provenance(markets))
    print(
        f"clients   {', '.join(loads)}\ntest      {start:%Y-%m-%d} .. {end:%Y-%m-%d}"
        f"\nout       {out}"
    )
    tasks = [
        Task(
            number=i, name=name, load=load, fit_from=None if since is None else int(since.value),
            start=int(start.value), end=int(end.value), epochs=args.epochs, seed=args.seed, out=out,
        )
        for i, (name, load) in enumerate(loads.items())
    ]  # fmt: skip
    weights, groups, lost = _train(server, args, tasks)
    kept = {name: panel for name, panel in panels.items() if name not in lost}
    known = [panel.until(int(start.value) - 1) for panel in kept.values()]
    known = [panel if since is None else panel.since(since) for panel in known]
    made = compare.pooled(kept, known, args.models, groups, args.seed)
    forecasts = compare.read_forecasts(out, list(kept))
    forecasts = compare.with_pooled(forecasts, kept, made)
    result: dict[str, Any] = {
        "test": [str(start), str(end)],
        "lost": lost,
        "inputs": list(groups),
        "rows": compare.figures(forecasts),
    }
    if "har" in weights:
        result["har_difference"] = compare.har_difference(weights["har"], known)
    write_json(out / "results.json", result)
    np.savez(out / "weights.npz", **weights)
    text = compare.markdown(result)
    write_text(out / "results.md", text)
    print(text)


def _train(server: Any, args: Args, tasks: list[Any]) -> tuple[dict[str, Any], Any, Any]:
    """(weights of each model, inputs that all clients have, clients that were lost), with progress
    on the screen; server: the module, which needs extras.
    """
    networks = sum(model != "har" for model in args.models)
    steps = 2 * ("har" in args.models) + networks * (args.rounds + 1)
    with tqdm(total=steps) as bar:

        def tell(words: str) -> None:
            bar.set_description(words)
            bar.update()

        with server.Federation(tasks, args.timeout, say=bar.write) as federation:
            weights = server.train_together(federation, args.models, args.rounds, tell)
            return dict(weights), federation.groups, federation.lost


def check(args: Args) -> None:
    """Refuse what makes no federation."""
    for flag, value, low, high in (
        ("--rounds", args.rounds, 1, 10_000),
        ("--epochs", args.epochs, 1, 1000),
        ("--timeout", args.timeout, 1, 86_400),
    ):
        if not low <= value <= high:
            raise RunError(f"{flag} {value:g}: give {low} .. {high}")
    if not args.models:
        raise RunError("--models is empty; name at least one")
    if args.clients and (args.data or args.symbols):
        raise RunError("--clients names folders of its own; leave out --data and --symbols")
    if args.symbols and args.data is None:
        raise RunError(f"--symbols {' '.join(args.symbols)} needs --data")


def loads_of(args: Args) -> dict[str, Any]:
    """Name of each client -> how it reads its market."""
    found: dict[str, Any] = {}
    if args.clients:
        for text in args.clients:
            folder, _, venue = text.partition(":")
            name = "-".join(filter(None, [Path(folder).name, venue]))
            if name in found:
                raise RunError(f"--clients {text}: two clients are called {name}; rename a folder")
            found[name] = partial(load_market, folder, venue=venue or "binance", accept=args.accept)
    elif args.data is None:
        found = {coin: partial(made_coin, coin, args.venue) for coin in MADE}
    else:
        symbols = args.symbols
        if not symbols:
            whole = load_market(args.data, venue=args.venue, accept=args.accept)
            symbols = tuple(dict.fromkeys(name for path in whole.symbols for name in path))
        for symbol in symbols:
            found[symbol] = partial(
                load_market, args.data, [symbol], venue=args.venue, accept=args.accept
            )
    if len(found) < 2:
        raise RunError(f"{len(found)} client: a federation needs 2; give more symbols or folders")
    return found


def made_coin(coin: Any, venue: str) -> Market:
    """Two years of one coin of the generator."""
    return synthetic_market(coin, years=2, seed=MADE.index(coin), venue=venue)


def span(args: Args, markets: list[Market]) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The test span."""
    if args.test:
        return span_edges(args.test, "--test")
    first = min(int(market.close_ns.min()) for market in markets)
    last = max(int(market.close_ns.max()) for market in markets)
    cut = pd.Timestamp(first + (last - first) * 2 // 3, tz="UTC").floor("D")
    return cut, pd.Timestamp(last, tz="UTC").floor("D") + pd.Timedelta(days=1)


if __name__ == "__main__":
    run(Args, main, __doc__)
