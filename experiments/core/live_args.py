"""What the commands on live data share: which symbols belong to which venue, spot pairs of other
exchanges, and a log on the screen and in a file.
"""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Sequence
from pathlib import Path

from experiments.core.run_folder import RunError
from fundenv.market.download.exchange import APIS

_LOG_BYTES = 5_000_000


def own_symbols(symbols: Sequence[str], venue: str) -> tuple[str, ...]:
    """Of --symbols those that are meant for a venue. Raises `RunError` where none is, or one stands
    twice.
    """
    found = [
        name.partition(":")[2] or name
        for name in symbols
        if name.partition(":")[0] in (venue, name)
    ]
    if not found:
        raise RunError(f"--symbols name none of {venue}; give some, or leave the venue out")
    if len(set(found)) < len(found):
        raise RunError(f"--symbols {' '.join(symbols)}: one stands twice; drop it")
    return tuple(found)


def elsewhere(items: Sequence[str], symbols: Sequence[str]) -> dict[str, tuple[str, str]]:
    """--spot SYMBOL=VENUE:PAIR as symbol -> (venue, pair). Raises `RunError` for anything else."""
    found = {}
    for item in items:
        symbol, _, pair = item.partition("=")
        venue, _, name = pair.partition(":")
        if not (symbol and venue in APIS and name) or symbol not in {
            each.rpartition(":")[2] for each in symbols
        }:
            raise RunError(f"--spot {item}: expected SYMBOL=VENUE:PAIR, a symbol of --symbols")
        found[symbol] = (venue, name)
    return found


def to_log(name: str, path: Path) -> logging.Logger:
    """A log to the screen and to a file that does not grow for ever."""
    log = logging.getLogger(name)
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    made: list[logging.Handler] = [
        logging.StreamHandler(),
        logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=3),
    ]
    form = logging.Formatter("%(asctime)s  %(levelname)-7s  %(message)s", "%Y-%m-%d %H:%M:%S")
    for handler in made:
        handler.setFormatter(form)
        log.addHandler(handler)
    return log
