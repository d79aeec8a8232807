"""Paper accounts, read from their state files; these are not written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fundenv.live.state import STATE

DRIFT = "drift.json"
_HOUR_MS = 3_600_000
_PATIENCE_MS = 90 * 60_000  # after the close of the bar that is due


def read(folders: Sequence[Path], now: int) -> tuple[list[dict[str, Any]], list[str]]:
    """(the accounts in some folders of `fundenv paper`, a sentence for each failure). now: ms.

    An account is the entry of the state file with: venue, agent, closed (ms), waiting (a sentence),
    held (whether there is a position), behind (hours since its last bar, where the next one is
    overdue; else 0), alarm (of the drift report).
    """
    found, problems = [], []
    for folder in folders:
        files = sorted(folder.glob(f"**/{STATE}"))
        if not files:
            problems.append(f"{folder}: no paper account there yet")
        for path in files:
            try:
                found += _accounts(path, now)
            except (OSError, ValueError, LookupError, TypeError) as error:
                problems.append(f"{path}: not read ({type(error).__name__}: {error})")
    return found, problems


def _accounts(path: Path, now: int) -> list[dict[str, Any]]:
    state = json.loads(path.read_text(encoding="utf-8"))
    drift = path.with_name(DRIFT)
    alarms = json.loads(drift.read_text(encoding="utf-8"))["alarms"] if drift.exists() else []
    exchange = state["exchange_time"] or state["written"]
    silent = max(0, now - state["written"])
    late = silent + (0 if state["closed"] is None else exchange - state["closed"])
    shared = {
        "venue": state["venue"],
        "agent": state["agent"],
        "closed": state["closed"],
        "waiting": "; ".join(state["waiting"]),
        "behind": late / _HOUR_MS if late > state["bar_ms"] + _PATIENCE_MS else 0.0,
        "alarm": "; ".join(alarms),
    }
    return [
        own | shared | {"held": any(leg["perp"] or leg["spot"] for leg in own["legs"].values())}
        for own in state["accounts"]
    ]
