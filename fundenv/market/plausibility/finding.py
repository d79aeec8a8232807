"""The findings of the plausibility check, and the decision whether they stop the market."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from fundenv.market.files.schema import DataError

# Kind of a finding -> what it means. The names are stable: `accept=` and reports use them.
KINDS: dict[str, str] = {
    "factor": "two prices of one coin differ by a factor",
    "lag": "two prices of one coin move some hours apart",
    "bar_length": "the length of the bars changes inside a file",
    "other_coin": "the price goes on at another level: another coin, or another unit",
    "spike": "a price stands far beyond its neighbours and the other market",
    "impossible_price": "an optional column holds a price that cannot be",
    "settlement_hours": "settlements at hours that the venue does not have",
    "rate_scale": "rates of another size than the basis implies: percent, annualised",
    "rate_sign": "rates run against the basis: the sign is turned",
    "funding_lag": "rates fit the basis of other hours",
    "rates_repeated": "one rate stands in several rows, and would be paid each time",
    "volume_unit": "volumes in quote or in contracts, not in coins",
    "settlement_price": "the mark price of a settlement is in another unit",
}


class Finding(NamedTuple):
    """A place in the tables that does not look like real data.

    symbol, where: the symbol, and the file and column; first: when it begins, UTC, None where it
    has no instant; value, limit: what was found and what is expected, in words; refused: whether it
    would change profits, so that it stops the market unless it is accepted.
    """

    kind: str
    symbol: str
    where: str
    first: pd.Timestamp | None
    value: str
    limit: str
    remedy: str
    refused: bool

    def line(self) -> str:
        """One line without the remedy."""
        when = f" from {self.first:%Y-%m-%d %H:%M}" if self.first is not None else ""
        return f"{self.where}{when}: {self.value}; expected {self.limit} ({self.kind})"

    def error(self) -> str:
        """One line with the remedy, and how to accept the finding."""
        return (
            f"{self.line()}; {self.remedy}; or let it through knowingly: accept=('{self.kind}',),"
            f" --accept {self.kind}"
        )


def at(ns: int | np.int64) -> pd.Timestamp:
    """An instant in ns as a UTC timestamp."""
    return pd.Timestamp(int(ns), unit="ns", tz="UTC")


def check_accept(accept: Sequence[str]) -> tuple[str, ...]:
    """`accept` as a tuple. Raises `DataError` for a kind that there is not."""
    wanted = (accept,) if isinstance(accept, str) else tuple(map(str, accept))
    for text in wanted:
        if text.partition(":")[0] not in KINDS:
            raise DataError(
                f"accept {text!r}: no such kind of finding; expected KIND or KIND:SYMBOL, kinds"
                f" {', '.join(KINDS)}"
            )
    return wanted


def judge(
    findings: Sequence[Finding], accept: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(notes, cautions): minor findings, and those that would stop the market but are accepted.

    Raises `DataError` for the first one that is neither.
    """
    wanted = check_accept(accept)
    notes, cautions, stopping = [], [], []
    for finding in findings:
        if not finding.refused:
            notes.append(finding.line())
        elif {finding.kind, f"{finding.kind}:{finding.symbol}"} & set(wanted):
            cautions.append(finding.line())
        else:
            stopping.append(finding)
    if stopping:
        kinds = list(dict.fromkeys(f.kind for f in stopping[1:] if f.kind != stopping[0].kind))
        more = f"; and {len(stopping) - 1} more" if len(stopping) > 1 else ""
        named = f" ({', '.join(kinds)})" if kinds else ""
        raise DataError(f"{stopping[0].error()}{more}{named}")
    return tuple(notes), tuple(cautions)
