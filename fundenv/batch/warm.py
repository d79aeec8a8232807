"""Compiles every form of the simulation ahead of the first run: for the image of a container, or
after an installation.

All in one process: a further form costs less than half of what it costs alone. `python -m
fundenv.batch.warm` compiles what the fast tests need, all forms but that of vectors; `python -m
fundenv.batch.warm vectors` that form.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

from fundenv.batch.cpu import Batch
from fundenv.market import synthetic_market, synthetic_portfolio

VECTORS = "vectors"
_ENVS = 64  # as many as the vector form takes at the least, and more


def warm() -> Iterator[tuple[str, Callable[[], None]]]:
    """(name, function that compiles it, or loads it where it is kept) of every form: a single
    asset, vectors of them, several assets, inverse contracts, both kinds, money that travels.
    """
    market = synthetic_market("btc", years=0.5, seed=0)
    coins = synthetic_portfolio(2, years=0.5, seed=0, late=0.0, gone=0.0)
    yield "one asset", lambda: _made(Batch(1, market=market))
    yield "several assets", lambda: _made(Batch(1, market=coins))
    yield "inverse contracts", lambda: _made(Batch(1, market=market, venue="bybit_inverse"))
    both = replace(coins, symbols=(("binance:BTCUSDT", "bybit_inverse:BTCUSD"),) * coins.n_paths)
    yield "both kinds of contract", lambda: _made(Batch(1, market=both))
    placed = replace(market, symbols=(("hyperliquid:BTC@binance:BTCUSDT",),) * market.n_paths)
    yield "money that travels", lambda: _made(Batch(1, market=placed, transfer_delay="8h"))
    yield VECTORS, lambda: Batch(_ENVS, market=market).use_vectors()


def _made(batch: Batch) -> None:
    batch.close()


if __name__ == "__main__":
    in_vectors = sys.argv[1:] == [VECTORS]
    for name, compiled in warm():
        if (name == VECTORS) == in_vectors:
            compiled()
