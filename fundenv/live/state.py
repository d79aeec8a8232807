"""The state file: the present state of an account, for users and for other programs. It can be
deleted at any time, because the journal holds everything.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from fundenv.dynamics import types as t
from fundenv.live.records import now_ms

STATE = "state.json"
_LEGS = ("spot", "perp", "entry", "margin")


def write_state(paper: Any, now: int | None) -> None:
    """Write the state of a `fundenv.live.paper.Paper`; `now`: the exchange's time, None where the
    exchange did not give it.
    """
    _write(paper.folder / STATE, describe(paper, now))


def describe(paper: Any, now: int | None) -> dict[str, Any]:
    """The contents of the state file as JSON values; times in ms since 1970 UTC, money in quote."""
    account, tables = paper.account, paper.tables
    rows = tables.rows.values()
    return {
        "venue": paper.plan.venue.name,
        "symbols": list(paper.plan.symbols),
        "agent": paper.plan.agent,
        "written": now_ms(),
        "exchange_time": now,
        "bar_ms": tables.step_ms,
        "closed": tables.closed,
        "begin": paper.begin,
        "next_decision": None if paper.begin is None else account.next_decision(paper.begin),
        "waiting": list(dict.fromkeys(paper.waiting)),
        "refused": paper.refused,
        "gone": tables.gone,
        "late_rows": sum(each.late for each in rows),
        "revised_rows": sum(each.revised for each in rows),
        "decisions": len(account.decisions),
        "steps": len(account.steps),
        "latched": account.latched,
        "limits": account.decisions[-1]["limits"] if account.decisions else [],
        "fingerprint": account.fingerprint(),
        "accounts": _accounts(paper),
    }


def _accounts(paper: Any) -> list[dict[str, Any]]:
    """One entry for each account; empty before the first decision."""
    account = paper.account
    standing = account.standing
    if standing is None:
        return []
    shared = paper.plan.shared
    names = [list(paper.plan.symbols)] if shared else [[s] for s in paper.plan.symbols]
    parts = np.sum([step.parts for step in account.steps], axis=0) if account.steps else None
    columns = {column.name: (k, column.scale) for k, column in enumerate(account.table)}
    found = []
    for i, symbols in enumerate(names):
        own = {
            "symbols": symbols,
            "equity": float(standing.account[i, t.EQUITY]),
            "cash": float(standing.account[i, t.CASH]),
            "peak": float(standing.account[i, t.EQUITY_PEAK]),
            "ended": bool(standing.ended[i]),
            "words": list(account.words[i]) if i < len(account.words) else [],
            "legs": {
                symbol: {
                    name: float(standing.legs[i, a, getattr(t, name.upper())]) for name in _LEGS
                }
                for a, symbol in enumerate(symbols)
            },
            "parts": {}
            if parts is None
            else {name: float(parts[i, k]) for k, name in enumerate(t.PARTS)},
        }
        for name in ("margin_distance", "drawdown"):  # of several coins the smallest value
            told = [
                float(standing.obs[i, at]) * float(scale)
                for column, (at, scale) in columns.items()
                if column.split(":")[-1] == name
            ]
            if told:
                own[name] = min(told)
        found.append(own)
    return found


def _write(path: Path, value: dict[str, Any]) -> None:
    """Write JSON by an atomic rename."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
