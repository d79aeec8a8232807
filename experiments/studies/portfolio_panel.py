"""The comparison on one capital as data: figures of each agent, differences with their intervals,
and the parts that growth and differences come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.analysis.panel import paired_over
from experiments.analysis.statistics import Paired, iqm
from experiments.studies.portfolio_records import Record
from fundenv.dynamics.types import PARTS

Array = NDArray[np.float64]
YEAR = 365.0
# sources of growth above cash: the parts that each adds up
SOURCES: dict[str, tuple[str, ...]] = {
    "funding": ("funding",),
    "prices": ("spot_pnl", "perp_pnl"),
    "orders": ("fees", "spread", "impact"),
    "loans": ("borrow_interest",),
    "cash": ("cash_interest",),
    "losses": ("liquidation_loss",),  # in liquidations
}


class Panel:
    """The records of all agents, folds and costs."""

    def __init__(
        self,
        records: Sequence[Record],
        *,
        subsets: Sequence[tuple[str, ...]],
        singles: Sequence[tuple[str, ...]],
        cash_rates: Sequence[float],
        thin: Sequence[str],
    ) -> None:
        """subsets: those that are compared; singles: coins alone, shown apart."""
        self.records, self.subsets, self.singles = list(records), list(subsets), list(singles)
        self.cash_rates = tuple(cash_rates)
        self.kinds = {record.entrant.name: record.entrant.kind for record in records}
        self.names = list(self.kinds)
        self.halves = list(dict.fromkeys(half for record in records for half in record.halves))
        self.thin = [half for half in thin if half in self.halves]
        self.frame = self._frame()

    def of_kind(self, kind: str) -> list[str]:
        """Names of the learners, rules or bounds."""
        return [name for name in self.names if self.kinds[name] == kind]

    def best(self, kind: str = "rule", half: str | None = None) -> str:
        """Who of a kind grew most, over all half-years or in one."""
        own = self.accounts(half=half)
        means = own[own["kind"] == kind].groupby("agent")["growth"].mean()
        return str(means.idxmax())

    def accounts(
        self, *, singles: bool = False, half: str | None = None, cost: float = 1.0
    ) -> pd.DataFrame:
        """Rows of the accounts of all subsets, or of the coins alone."""
        wanted = [" ".join(own) for own in (self.singles if singles else self.subsets)]
        own = self.frame[self.frame["coins"].isin(wanted) & (self.frame["cost"] == cost)]
        return own if half is None else own[own["half"] == half]

    def days(
        self, name: str, halves: Sequence[str] | None = None, *, singles: bool = False
    ) -> Array:
        """Daily growth above cash at single costs, (days, subsets, seeds), in % a year."""
        wanted = self.singles if singles else self.subsets
        kept = self.halves if halves is None else halves
        by_seed: dict[int, list[Array]] = {}
        for record in self.records:
            if record.entrant.name != name or record.cost != 1.0:
                continue
            at = [record.subsets.index(own) for own in wanted]
            for h, half in enumerate(record.halves):
                if half in kept:
                    own = record.walks.days[at, h, : record.walks.length[at[0], h]]
                    by_seed.setdefault(record.entrant.seed, []).append(100 * YEAR * own.T)
        return np.stack([np.concatenate(parts) for parts in by_seed.values()], axis=-1)

    def difference(
        self,
        mine: str,
        other: str | None,
        halves: Sequence[str] | None = None,
        *,
        singles: bool = False,
    ) -> Paired:
        """Of growth, % a year, with interval and p-value; other None: against cash."""
        against = None if other is None else self.days(other, halves, singles=singles)
        return paired_over(self.days(mine, halves, singles=singles), against)

    def standing(self, name: str) -> dict[str, Any]:
        """The figures of one agent, growth in % a year."""
        own = self._own(name)
        each = own.groupby(["coins", "half", "seed"])["growth"].mean()
        found = self.difference(name, None)
        rates = own.groupby("cash_rate")["growth"].mean()
        lost = own[own["liquidated"] > 0]
        figures: dict[str, Any] = {
            "agent": name,
            "kind": self.kinds[name],
            "seeds": int(own["seed"].nunique()),
            "mean": float(own["growth"].mean()),
            "low": found.low,
            "high": found.high,
            "iqm": iqm(each.to_numpy()),
            "by_cash_rate": {f"{rate:g}": float(value) for rate, value in rates.items()},
            "by_half": {
                str(half): float(value)
                for half, value in own.groupby("half")["growth"].mean().items()
            },
            "fall": float(own["fall"].mean()),
            "deepest": float(own["fall"].max()),
            "cvar": float(own["cvar"].mean()),
            "liquidated": len(lost),
            "accounts": len(own),
            "where": [
                f"{coins}, {half}, cash {100 * rate:g} %, seed {seed}"
                for coins, half, rate, seed in lost[
                    ["coins", "half", "cash_rate", "seed"]
                ].itertuples(index=False)
            ],
            "turnover": float(own["turnover"].mean()),
            "sources": {source: float(own[source].mean()) for source in SOURCES},
        }
        dear = self._own(name, cost=2.0)
        figures["double_costs"] = float(dear["growth"].mean()) if len(dear) else None
        figures["thin"] = float(own[own["half"].isin(self.thin)]["growth"].mean())
        single = self._own(name, singles=True)
        whole = len(self.singles) > 0 and single["coins"].nunique() == len(self.singles)
        figures["one_coin"] = float(single["growth"].mean()) if whole else None
        return figures

    def sources(self, mine: str, other: str) -> dict[str, float]:
        """What `mine` has more than `other`, by source, % a year; they add up to the difference."""
        a, b = self._own(mine), self._own(other)
        return {source: float(a[source].mean() - b[source].mean()) for source in SOURCES}

    def _own(self, name: str, **which: Any) -> pd.DataFrame:
        found = self.accounts(**which)
        return found[found["agent"] == name]

    def _frame(self) -> pd.DataFrame:
        """A row for each account: agent, kind, seed, fold, half, coins, cost, cash rate; growth,
        fall and cvar in %; legs liquidated, turnover; and the sources of growth above cash.
        """
        rows = []
        for record in self.records:
            w = record.walks
            for s, coins in enumerate(record.subsets):
                for h, half in enumerate(record.halves):
                    for r, rate in enumerate(self.cash_rates):
                        parts = dict(zip(PARTS, 100 * w.parts[s, h, r], strict=True))
                        told = {
                            source: float(sum(parts[name] for name in names))
                            for source, names in SOURCES.items()
                        }
                        told["cash"] -= 100 * rate
                        rows.append(
                            {
                                "agent": record.entrant.name,
                                "kind": record.entrant.kind,
                                "seed": record.entrant.seed,
                                "fold": record.fold,
                                "half": half,
                                "coins": " ".join(coins),
                                "cost": record.cost,
                                "cash_rate": rate,
                                "growth": 100 * float(w.growth[s, h, r]),
                                "fall": 100 * float(w.fall[s, h, r]),
                                "cvar": 100 * float(w.cvar[s, h, r]),
                                "liquidated": float(w.liquidations[s, h, r]),
                                "turnover": float(w.turnover[s, h, r]),
                            }
                            | told
                        )
        return pd.DataFrame(rows)
