"""The alerts of the monitor: conditions that hold now, and alerts that begin or end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

from experiments.core.run_folder import RunError
from experiments.monitoring.rows import Row
from fundenv.settings import Range, Settings


@dataclass(frozen=True, kw_only=True)
class AlertLimits(Settings):
    """Limits of the alerts; 0 switches an alert off."""

    error: ClassVar[type[ValueError]] = RunError
    rate: Annotated[float, Range(0, 1e4, "bp per 8 h")] = 10.0
    """Size of the predicted rate, of either sign."""
    z: Annotated[float, Range(0, 100, "deviations")] = 3.0
    """Size of the z-score of the settled rate, of either sign."""
    flip: Annotated[float, Range(0, 1e4, "bp per 8 h")] = 0.5
    """The predicted and the settled rate have opposite signs, and both are at least this large."""
    cap: Annotated[float, Range(0, 1, "of the cap")] = 0.99
    """Predicted rate as a share of the venue's largest."""
    stale: Annotated[float, Range(0, 1e6, "s")] = 300.0
    """Time since the venue's last rate. Such rows are grey and in no carry. A paper account whose
    next bar is more than 1.5 h late counts, too.
    """
    interval: bool = True
    """The settlement interval changed."""
    margin: Annotated[float, Range(0, 10, "daily volatilities")] = 3.0
    """Distance of a paper account to its liquidation: margin above maintenance over notional."""
    drift: bool = True
    """An alarm of the drift report (`fundenv paper --drift`)."""


class Alert(NamedTuple):
    """kind: field of `AlertLimits`. what: which perpetual or account. since: ms."""

    kind: str
    what: str
    text: str
    since: int


Conditions = dict[tuple[str, str], str]


def market_conditions(rows: Sequence[Row], limits: AlertLimits) -> Conditions:
    """The conditions of perpetuals that hold: (kind, what) -> a sentence."""
    found: Conditions = {}
    for row in rows:
        what = f"{row.key.venue} {row.key.symbol}"
        if row.stale and limits.stale:
            found["stale", what] = f"no rate for {row.age:.0f} s"
            continue
        for kind, text in _of_row(row, limits):
            found[kind, what] = text
        if limits.interval and row.changed:
            before, now = row.changed
            found["interval", what] = f"settles every {now:g} h instead of every {before:g} h"
    return found


def account_conditions(accounts: Sequence[Mapping[str, Any]], limits: AlertLimits) -> Conditions:
    """The conditions of paper accounts that hold, from the entries of `accounts.read`."""
    found: Conditions = {}
    for own in accounts:
        what = f"paper {own['venue']} {'+'.join(own['symbols'])}"
        distance = own.get("margin_distance")
        if limits.margin and own["held"] and distance is not None and distance < limits.margin:
            found["margin", what] = f"liquidation is {distance:.1f} daily volatilities away"
        if limits.stale and own["behind"] > 0:
            found["stale", what] = f"no bar for {own['behind']:.0f} h: {own['waiting'] or 'silent'}"
        if limits.drift and own.get("alarm"):
            found["drift", what] = str(own["alarm"])
    return found


class Alarms:
    """The alerts that are active."""

    def __init__(self) -> None:
        self.standing: dict[tuple[str, str], Alert] = {}

    def update(self, found: Conditions, now: int) -> tuple[list[Alert], list[Alert]]:
        """(alerts that begin now, alerts that end now); one that continues is in neither."""
        begun = []
        for (kind, what), text in found.items():
            before = self.standing.get((kind, what))
            alert = Alert(kind, what, text, before.since if before else now)
            self.standing[kind, what] = alert
            if before is None:
                begun.append(alert)
        ended = [self.standing.pop(key) for key in list(self.standing) if key not in found]
        return begun, ended


def _of_row(row: Row, limits: AlertLimits) -> list[tuple[str, str]]:
    found, predicted, settled = [], row.predicted, row.settled
    if predicted is not None and limits.rate and abs(predicted) >= limits.rate:
        found.append(("rate", f"predicted {predicted:+.2f} bp per 8 h"))
    if row.z is not None and limits.z and abs(row.z) >= limits.z:
        found.append(("z", f"settled rate {row.z:+.1f} deviations from its mean"))
    if predicted is not None and settled is not None and limits.flip:
        large = min(abs(predicted), abs(settled)) >= limits.flip
        if predicted * settled < 0 and large:
            text = f"predicted {predicted:+.2f} after {settled:+.2f} bp per 8 h"
            found.append(("flip", text))
    if row.cap is not None and limits.cap and row.cap >= limits.cap:
        found.append(("cap", f"predicted rate at {100 * row.cap:.0f} % of the venue's cap"))
    return found
