"""The records of a journal, each a JSON object with `kind` and `at` (this machine's clock, ms):

    begin     the account: venue, symbols, agent, settings of the env
    answer    rows as the venue sent them, for one series and span
    seal      no bar up to `close` changes any more; `gone`: coins whose rows have ended
    decision  the agent's action at `close`, the action sent after the limits, and the reasons
    quote     the venue's quote after the decision `number`, or one that a monitor received
    control   a request of the user: `reset` of a stop

The account depends on these records alone. Rows that arrive after their bar was sealed stay in the
journal and do not change the account.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pandas as pd

from fundenv.live.journal import Record
from fundenv.market.download import KINDS, Series, Span


def now_ms() -> int:
    """This machine's clock, for the `at` of a record; no decision depends on it."""
    return time.time_ns() // 1_000_000


def answer(series: Series, span: Span, table: pd.DataFrame) -> Record:
    """The record of a venue's answer."""
    columns = ["time", *KINDS[series.kind].columns]
    rows: list[list[Any]] = [
        [int(row[0]), *(float(x) if math.isfinite(x) else None for x in row[1:])]
        for row in table[columns].itertuples(index=False, name=None)
    ]
    return {
        "kind": "answer",
        "at": now_ms(),
        "symbol": series.symbol,
        "series": series.kind,
        "from": span.start,
        "to": span.end,
        "rows": rows,
    }


def rows_of(record: Record, series: Series) -> pd.DataFrame:
    """The table of an answer."""
    columns = KINDS[series.kind].columns
    rows = record["rows"]
    table = {"time": np.array([row[0] for row in rows], dtype=np.int64)}
    for k, column in enumerate(columns, 1):
        table[column] = np.array([row[k] for row in rows], dtype=np.float64)
    return pd.DataFrame(table)


def seal(close: int, gone: list[str], holes: list[str]) -> Record:
    """The record that closes every bar up to `close` (ms)."""
    return {"kind": "seal", "at": now_ms(), "close": close, "gone": gone, "holes": holes}


def quote(quote: Any, number: int | None = None) -> Record:
    """The record of a `fundenv.live.Quote`; number: the decision that it followed."""
    own = {"kind": "quote", "quote": quote._asdict()}
    return own if number is None else own | {"number": number}
