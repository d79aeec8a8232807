"""Watches funding at every exchange: rates now, predicted and settled, what a carry would earn net
of costs and cash, and alerts; on a web page, for Prometheus, by webhook and in the log.

The monitor polls the venues for public data. It takes no key and sends no order, so it cannot
trade. --once prints the tables and ends. --paper shows paper accounts beside the market.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from experiments.core.cli import Stopped, deferred, run
from experiments.core.live_args import elsewhere, own_symbols, to_log
from experiments.core.run_folder import RunError, require_room
from experiments.monitoring import tables
from experiments.monitoring.alerts import AlertLimits
from experiments.monitoring.notify import Webhook
from experiments.monitoring.rows import Carrying, Key
from experiments.monitoring.watch import Watch
from fundenv.live import QUICK, Journal, LiveFeed
from fundenv.market.download import Rest
from fundenv.market.download.exchange import APIS

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the monitor."""

    venue: tuple[str, ...] = ("binance",)
    """Exchanges: binance, bybit, okx, deribit, hyperliquid, dydx, kraken."""
    symbols: tuple[str, ...]
    """Perpetuals, as the venue's file spells them; VENUE:SYMBOL for one venue alone."""
    out: Path = Path("runs/monitor")
    """Folder of its journal and its log."""
    paper: tuple[Path, ...] = ()
    """Folders of paper accounts to show; the monitor only reads them."""
    once: bool = False
    """Poll once, print the tables, and end."""
    alerts: AlertLimits = field(default_factory=AlertLimits)
    """When to send an alert."""
    webhook: str = ""
    """Address that takes each alert as JSON by POST; Slack and Discord understand it."""
    carry: Carrying = field(default_factory=Carrying)
    """Assumptions of the ranking of carries."""
    spot: tuple[str, ...] = ()
    """Spot pairs of another exchange, SYMBOL=VENUE:PAIR."""
    host: str = "127.0.0.1"
    """Address at which the page listens; an address other than loopback lets other machines read
    it.
    """
    port: int = 8060
    """Port of the page; 0: any free port."""
    poll: float = 60.0
    """Seconds between two polls of the venues."""
    refresh: float = 5.0
    """Seconds after which the page refreshes itself."""
    keep: float = 14.0
    """Days for which the monitor keeps files of the journal."""
    mirror: str = ""
    """Address in place of the exchanges' own."""
    rate: float = 8.0
    """Requests a second to each exchange."""


def main(args: Args) -> None:
    """Look until stopped; the page is read meanwhile."""
    for venue in args.venue:
        if venue not in APIS:
            raise RunError(f"--venue {venue}: no interface; there is one for {', '.join(APIS)}")
    if min(args.poll, args.refresh, args.keep, args.rate) <= 0:
        raise RunError("--poll, --refresh, --keep, --rate: give numbers above 0")
    if not 0 <= args.port <= 65535:
        raise RunError(f"--port {args.port}: give 0 .. 65535; 0 takes any that is free")
    spots = spots_of(args)
    webhook = Webhook(args.webhook) if args.webhook else None
    require_room(args.out)
    journal = Journal(args.out / "journal")
    try:
        watch = Watch(
            LiveFeed(Rest(dataclasses.replace(QUICK, rate=args.rate), args.mirror)),
            spots,
            journal,
            limits=args.alerts,
            how=args.carry,
            papers=args.paper,
            webhook=webhook,
            log=to_log("fundenv.monitor", args.out / "monitor.log"),
        )
        if args.once:
            watch.look()
            _print(watch)
            return
        stop = serve(watch, args.host, args.port, args.refresh)
        try:
            _go_on(args, watch)
        finally:
            stop()
    finally:
        journal.close()


def spots_of(args: Args) -> dict[Key, tuple[str, str] | None]:
    """Every perpetual, and the spot pair beside it; None where its exchange has no spot market."""
    asked = elsewhere(args.spot, args.symbols)
    found: dict[Key, tuple[str, str] | None] = {}
    for venue in dict.fromkeys(args.venue):
        for symbol in own_symbols(args.symbols, venue):
            own = (venue, symbol) if APIS[venue].spot else None
            found[Key(venue, symbol)] = asked.get(symbol, own)
    return found


def serve(
    watch: Watch, host: str, port: int, refresh: float, say: Callable[[str], Any] | None = None
) -> Callable[[], None]:
    """Serve the page and the metrics from a thread; `say` takes a line for each address. Returns
    what ends it. Raises `RunError` where
    the extra `monitor` or the port is not there.
    """
    try:
        page = import_module("experiments.monitoring.page")
        metrics = import_module("experiments.monitoring.metrics")
    except ModuleNotFoundError as error:
        raise RunError(
            f"{error.name} is not installed; pip install 'fundenv[monitor]', or use --once"
        ) from None
    app = page.build(watch, refresh)

    def told() -> Any:
        return metrics.text(watch), 200, {"Content-Type": metrics.CONTENT}

    app.server.add_url_rule("/metrics", view_func=told)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for every request otherwise
    try:
        server = import_module("werkzeug.serving").make_server(
            host, port, app.server, threaded=True
        )
    except (OSError, SystemExit):
        raise RunError(
            f"--host {host} --port {port}: cannot listen there; choose another --port"
        ) from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say = say or partial(print, flush=True)
    say(f"page     http://{host}:{server.server_port}/")
    say(f"metrics  http://{host}:{server.server_port}/metrics")
    if host not in LOOPBACK:
        say("note  whoever reaches this address can read the page; there is no password")

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop


def _go_on(args: Args, watch: Watch) -> None:
    with deferred() as interrupt:
        while True:
            watch.look()
            watch.forget(args.keep)
            until = time.monotonic() + args.poll
            while time.monotonic() < until and not interrupt.requested:
                time.sleep(min(0.2, args.poll))
            if interrupt.requested:
                raise Stopped("stopped; the same command goes on from here")


def _print(watch: Watch) -> None:
    view = watch.view()
    for title, table in (
        ("Funding, bp per 8 h", tables.funding(view.rows)),
        ("Carry, % a year of the capital, net of costs and cash", tables.carry(view.carries)),
        ("Paper accounts", tables.paper(view.accounts)),
    ):
        if table.rows:
            print(f"\n{title}\n{_text(table)}")
    for alert in view.alerts:
        print(f"alert  {alert.kind}  {alert.what}: {alert.text}")
    for line in view.problems:
        print(f"note  {line}")


def _text(table: tables.Table) -> str:
    lines: Sequence[Sequence[str]] = [[name for name, _ in table.heads], *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


if __name__ == "__main__":
    run(Args, main, __doc__)
