"""Tables that a download shall bring, made from `world`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fundenv.market.download import Series
from fundenv.market.files.read import read_table
from tests.market.download import world
from tests.market.download.conftest import Desk
from tests.market.download.formats import ms
from tests.market.download.world import HOUR

NOON = ms("2024-03-10 12:00")


def series(kind: str, symbol: str = "BTCUSDT", **more: object) -> Series:
    step = "" if kind in ("funding", "metrics") else "1h"
    return Series(**{"venue": "binance", "symbol": symbol, "kind": kind, "step": step} | more)


def stored(desk: Desk, wanted: Series) -> pd.DataFrame:
    table = read_table(desk.store.folder(wanted), "extra")
    return table.assign(time=table["time"].astype("int64") // 1_000_000)


def expected(kind: str, symbol: str, start: str, end: int) -> pd.DataFrame:
    times = world.opens(symbol, kind, ms(start), end, HOUR)
    rows = pd.DataFrame(
        [(t, *world.bar(kind, t, HOUR)) for t in times],
        columns=["time", "open", "high", "low", "close", "volume"],
    )
    return rows if kind in ("perp", "spot") else rows.drop(columns="volume")


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> bool:
    return (
        list(found.columns) == list(wanted.columns)
        and len(found) == len(wanted)
        and np.allclose(found, wanted, rtol=1e-12, atol=0)
    )
