"""Downloads real data of a venue, verified and ready for `load_market`; running it again fetches
only what is missing.

    python -m experiments.download --venue binance --symbols BTCUSDT ETHUSDT --start 2020-01 --out
    data/raw

Archives first, where the venue has them, then its REST interface. The layout and the kinds:
data/README.md.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from experiments.core.cli import Interrupt, Stopped, deferred, run
from fundenv.market.download import (
    KINDS,
    DownloadError,
    Mirrors,
    Outcome,
    Series,
    Sources,
    Store,
    Updater,
    write_tiers,
)
from fundenv.market.download.exchange import APIS
from fundenv.market.download.series import month_of, months

TIMED = ("perp", "spot", "mark", "index", "premium")  # kinds that come in bars


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the download."""

    venue: str = "binance"
    """Exchange: binance, bybit, okx, deribit, hyperliquid, dydx or kraken."""
    symbols: tuple[str, ...]
    """Perpetuals, as the venue's file spells them (BTCUSDT)."""
    start: str = "2020-01"
    """First month."""
    end: str | None = None
    """Last month; default: until now. A later run continues where this one ended."""
    out: Path = Path("data/raw")
    """Data folder; give it to other scripts as --data."""
    kinds: tuple[str, ...] = ("funding", "perp", "spot", "mark")
    """What to fetch: funding, perp, spot, mark, index, premium, metrics (open interest; binance
    only).
    """
    step: str = "1h"
    """Length of the bars."""
    spot: tuple[str, ...] = ()
    """Spot pairs of another exchange, VENUE:PAIR, one for each symbol, for a venue without a spot
    market.
    """
    renamed: tuple[str, ...] = ()
    """NEW=OLD: earlier data of a renamed contract come from its old name (POLUSDT=MATICUSDT). Use
    it only where the coin itself did not change.
    """
    tiers: bool = False
    """Ask the exchange for today's brackets, lots and fees of the symbols, write them to
    OUT/VENUE_DATE.toml, and fetch no prices.
    """
    sources: tuple[str, ...] = ("archives", "rest")
    """Sources to use: archives, rest or both."""
    jobs: int = 4
    """Months fetched at the same time."""
    mirror: Mirrors = field(default_factory=Mirrors)
    """Addresses in place of the venues' own."""


def main(args: Args) -> None:
    """Fetch every series, print a row for each, and fail where something is still missing."""
    series = wanted(args)
    month_of(args.start)  # no server is asked for what cannot be
    _end_ms(args.end)
    sources = Sources(args.out, mirrors=args.mirror, names=args.sources)
    if args.tiers:
        path, notes = write_tiers(
            sources.rest, args.venue, args.symbols, args.out, dt.datetime.now(dt.UTC).date()
        )
        print(
            "\n".join([*(f"note  {note}" for note in notes), f"{path}: use it as --venue {path}"])
        )
        return
    with deferred() as interrupt:
        fetch(Store(args.out), sources, series, args.start, args.end, args.jobs, interrupt)


def wanted(args: Args) -> list[Series]:
    """The series that a command line names. Raises `DownloadError` where its parts do not fit
    together.
    """
    if args.spot and len(args.spot) != len(args.symbols):
        raise DownloadError(
            f"--spot names {len(args.spot)} pair(s) for {len(args.symbols)} symbol(s); give one for"
            " each, in their order"
        )
    elsewhere = dict(
        zip(
            args.symbols,
            (_pair(text, ":", "--spot", "VENUE:PAIR") for text in args.spot),
            strict=False,
        )
    )
    for flag, venue in [
        ("--venue", args.venue),
        *(("--spot", venue) for venue, _ in elsewhere.values()),
    ]:
        if venue not in APIS:
            near = difflib.get_close_matches(venue, APIS, n=1)
            raise DownloadError(
                f"{flag} {venue}: did you mean {near[0]}?"
                if near
                else f"{flag} {venue}: expected one of {', '.join(APIS)}"
            )
    unknown = [kind for kind in args.kinds if kind not in KINDS]
    if unknown:
        raise DownloadError(f"--kinds {' '.join(unknown)}: expected some of {', '.join(KINDS)}")
    before = dict(_pair(text, "=", "--renamed", "NEW=OLD") for text in args.renamed)
    stray = [symbol for symbol in before if symbol not in args.symbols]
    if stray:
        raise DownloadError(
            f"--renamed {stray[0]}={before[stray[0]]}: {stray[0]} is none of --symbols; add it"
        )
    found = []
    for symbol in args.symbols:
        for kind in args.kinds:
            asked: tuple[tuple[str, str], ...] = (
                ((args.venue, symbol), (args.venue, before[symbol])) if symbol in before else ()
            )
            asked = (elsewhere[symbol],) if kind == "spot" and symbol in elsewhere else asked
            found.append(
                Series(
                    venue=args.venue,
                    symbol=symbol,
                    kind=kind,
                    step=args.step if kind in TIMED else "",
                    asked=asked,
                )
            )
    return found


def fetch(
    store: Store,
    sources: Sources,
    wanted: Sequence[Series],
    start: str,
    end: str | None,
    jobs: int,
    interrupt: Interrupt,
) -> list[Outcome]:
    """Bring series up to date under a progress bar. Raises `Stopped` on Ctrl-C, `DownloadError` at
    the end where something is missing.
    """
    venues = dict.fromkeys(series.venue for series in wanted)
    clocks = {}
    for venue in venues:
        clocks[venue], note = sources.clock_ms(venue)
        if note:
            print(f"note  {note}")
    outcomes, last = [], _end_ms(end)
    total = sum(
        len(months(start, min(clocks[series.venue], last or clocks[series.venue])))
        for series in wanted
    )
    with tqdm(total=total, unit=" months", disable=None) as progress:
        for series in wanted:
            progress.set_description(series.folder)
            updater = Updater(
                store,
                sources.all(),
                lambda venue=series.venue: clocks[venue],  # type: ignore[misc]
                jobs=jobs,
                stop=lambda: interrupt.requested,
                done=lambda month: progress.update(),
                waiting=lambda folder: progress.write(
                    f"note  another process is at work on {folder}; waiting for it"
                ),
            )
            outcomes.append(updater.update(series, start, last))
            _tell(progress, outcomes[-1])
            if interrupt.requested:
                raise Stopped(
                    "stopped; what was fetched is kept, the same command goes on from here"
                )
    failures = [line for outcome in outcomes for line in outcome.failures]
    written, rows, kept = (
        sum(numbers)
        for numbers in zip(*((len(o.written), o.rows, len(o.kept)) for o in outcomes), strict=True)
    )
    print(f"{written} months written ({rows} rows), {kept} were whole already: {store.root}")
    if failures:
        raise DownloadError(f"{len(failures)} thing(s) still missing, the first: {failures[0]}")
    return outcomes


def _tell(progress: tqdm, outcome: Outcome) -> None:
    for line in dict.fromkeys(outcome.notes):
        progress.write(f"note  {outcome.series.folder}: {line}")
    for line in dict.fromkeys(outcome.failures):
        progress.write(f"missing  {outcome.series.folder}: {line}")


def _end_ms(end: str | None) -> int | None:
    """The last instant of a month or day that is still wanted."""
    if end is None:
        return None
    try:
        return int((pd.Period(end) + 1).start_time.tz_localize("UTC").value // 1_000_000)
    except ValueError:
        raise DownloadError(f"--end {end}: expected a month such as 2024-06") from None


def _pair(text: str, mark: str, flag: str, form: str) -> tuple[str, str]:
    first, found, second = text.partition(mark)
    if not (first and found and second):
        raise DownloadError(f"{flag} {text}: expected {form}")
    return first, second


if __name__ == "__main__":
    run(Args, main, __doc__)
