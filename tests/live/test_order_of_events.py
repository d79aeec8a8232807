"""Cases on which paper accounts of other projects go wrong, worked by hand: freqtrade issues 13263
(funding of a position that was added to), 12993 and 11318 (a settlement on the instant of the fill,
an order that is not filled yet).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.base import Agent
from agents.rules.actions import targets
from fundenv.dynamics import types as t
from fundenv.live import RecordedFeed
from tests.live.world import HOUR, ms, paper

BEGIN = ms("2024-03-01 00:00")  # a settlement falls on it, the next ones 8 and 16 h later
RATE = 1e-4
FREE = {
    "perp_fee": 0.0,
    "spot_fee": 0.0,
    "cost_scale": 0.0,
    "cash_rate": 0.0,
    "rebalance_band": 0.0,
    "decision_interval": "4h",
    "max_participation": 0.0,
}


class Script(Agent):
    """Asks for the carries of a list, one after another, at leverage 1; None holds."""

    name = "script"

    def __init__(self, carries: list[float | None]) -> None:
        super().__init__()
        self.carries, self.number = carries, 0

    def reset(self, mask: Any = None) -> None:
        self.number = 0

    def act(self, obs: Any, *, deterministic: bool = True) -> Any:
        carry = self.carries[self.number] if self.number < len(self.carries) else None
        self.number += 1
        asked = np.full((len(obs), 1), 0.0 if carry is None else carry)
        return targets(np.full((len(obs), 1), carry is None), asked, leverage=1.0)


class Clock:
    now_ms = BEGIN + 60_000


def still(clock: Clock) -> RecordedFeed:
    """A coin that stands at 100 from January on, with 1 bp at every settlement."""
    opens = np.arange(ms("2024-01-01"), ms("2024-03-05"), HOUR)
    rng = np.random.default_rng(0)
    jitter = np.where(opens < BEGIN - 24 * HOUR, rng.normal(0, 0.01, len(opens)), 0.0)
    bars = pd.DataFrame({"time": opens, "open": 100.0, "close": 100.0 + jitter})
    bars["high"], bars["low"] = 100.0 + np.maximum(jitter, 0), 100.0 + np.minimum(jitter, 0)
    bars = bars[["time", "open", "high", "low", "close"]].assign(volume=1e6)
    settled = np.arange(ms("2024-01-01"), ms("2024-03-05"), 8 * HOUR)
    paid = pd.DataFrame({"time": settled + 5, "rate": RATE})
    tables = {("BTCUSDT", "funding"): paid, ("BTCUSDT", "mark"): bars.drop(columns="volume")}
    tables |= {("BTCUSDT", kind): bars for kind in ("perp", "spot")}
    return RecordedFeed(tables, lambda: clock.now_ms)


def account(folder: Path, carries: list[float | None]) -> tuple[Any, Clock]:
    clock = Clock()
    own = paper(folder, still(clock), ["BTCUSDT"], Script(carries), env=FREE)
    own.look()
    assert own.begin == BEGIN
    assert own.tables.closed == BEGIN
    return own, clock


def at(own: Any, clock: Clock, hours: float) -> tuple[float, float]:
    """(size of the perpetual, equity) so many hours after the first decision."""
    clock.now_ms = BEGIN + round(hours * HOUR) + 60_000
    own.look()
    standing = own.account.standing
    assert standing.close == BEGIN + int(hours) * HOUR
    return float(standing.legs[0, 0, t.PERP]), float(standing.account[0, t.EQUITY])


def test_an_order_that_is_not_filled_yet_moves_nothing(tmp_path: Path) -> None:
    own, clock = account(tmp_path, [1.0])
    assert [record["close"] for record in own.account.decisions] == [BEGIN]
    standing = own.account.standing
    assert standing.legs[0, 0, t.PERP] == 0.0
    assert standing.account[0, t.EQUITY] == 100_000.0
    perp, equity = at(own, clock, 0.9)  # the bar of the fill still forms
    assert (perp, equity) == (0.0, 100_000.0)
    perp, equity = at(own, clock, 1)
    assert perp == pytest.approx(-500.0)
    assert equity == 100_000.0


def test_a_settlement_on_the_instant_of_the_fill_is_not_received(tmp_path: Path) -> None:
    """The order of 00:00 fills at the open of the bar that begins at 00:00, behind the settlement
    of that instant.
    """
    own, clock = account(tmp_path, [1.0])
    assert at(own, clock, 8) == (pytest.approx(-500.0), 100_000.0)
    # 08:00: 500 coins at 100 receive 1 bp
    assert at(own, clock, 9)[1] == pytest.approx(100_000.0 + 5.0, abs=1e-9)


def test_a_position_that_ends_on_a_settlement_still_receives_it(tmp_path: Path) -> None:
    own, clock = account(tmp_path, [1.0, None, 0.0])
    perp, equity = at(own, clock, 12)
    assert perp == 0.0
    assert equity == pytest.approx(100_000.0 + 5.0, abs=1e-9)


def test_what_was_added_between_settlements_receives_from_then_on_alone(tmp_path: Path) -> None:
    """0.5 at 00:00, 1.0 at 04:00, again 0.5 at 12:00: the settlement of 08:00 pays on 500 coins
    once, that of 16:00 on half of them once.
    """
    own, clock = account(tmp_path, [0.5, 1.0, None, 0.5])
    assert at(own, clock, 4) == (pytest.approx(-250.0), 100_000.0)
    assert at(own, clock, 7) == (pytest.approx(-500.0), 100_000.0)
    assert at(own, clock, 10)[1] == pytest.approx(100_000.0 + 5.0, abs=1e-9)
    perp, equity = at(own, clock, 15)
    assert equity == pytest.approx(100_000.0 + 5.0, abs=1e-9)
    assert at(own, clock, 18)[1] == pytest.approx(equity - perp * 100.0 * RATE, abs=1e-9)
    parts = np.sum([step.parts[0] for step in own.account.steps], axis=0)
    clock.now_ms = BEGIN + 21 * HOUR
    own.look()
    whole = np.sum([step.parts[0] for step in own.account.steps], axis=0)
    assert parts[t.FUNDING] == pytest.approx(5.0, abs=1e-9)
    assert whole[t.FUNDING] == pytest.approx(5.0 - perp * 100.0 * RATE, abs=1e-9)
