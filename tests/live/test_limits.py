"""Limits and stops: each changes what is sent, stays in the journal and says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.live import Gate, Limits, LiveError
from fundenv.live.limits import check_closable, decoded
from tests.live.test_order_of_events import Clock, Script, still
from tests.live.world import HOUR, paper

GRID = {"carry_grid": (-1.0, -0.5, 0.0, 0.25, 0.5, 1.0), "leverage_grid": (1.0, 2.0)}


def held(folder: Path, carries: list[Any], limits: Limits) -> tuple[Any, Clock]:
    clock = Clock()
    own = paper(folder, still(clock), ["BTCUSDT"], Script(carries), limits=limits)
    own.look()
    return own, clock


def go(own: Any, clock: Clock, hours: int) -> tuple[float, list[str]]:
    clock.now_ms += hours * HOUR
    own.look()
    perp = own.account.standing.legs[0, 0, t.PERP]
    return float(perp), own.account.decisions[-1]["limits"]


def test_a_position_is_cut_to_the_largest_notional(tmp_path: Path) -> None:
    own, clock = held(tmp_path, [1.0], Limits(max_notional=20_000.0))
    assert own.account.decisions[0]["limits"] == [
        "BTCUSDT: position of 50,000 cut to 20,000 quote, the limit"
    ]
    assert own.account.decisions[0]["wanted"] != own.account.decisions[0]["sent"]
    assert go(own, clock, 2)[0] * 100 == pytest.approx(-20_000.0, rel=1e-3)


def test_exposure_counts_against_equity(tmp_path: Path) -> None:
    own, clock = held(tmp_path, [-1.0], Limits(max_exposure=0.1))
    assert go(own, clock, 2)[0] * 100 == pytest.approx(10_000.0, rel=1e-3)


def test_the_stop_file_closes_and_its_end_lets_trade_again(tmp_path: Path) -> None:
    own, clock = held(tmp_path, [1.0, 1.0, 1.0, 1.0], Limits())
    assert go(own, clock, 2)[0] < 0
    (tmp_path / "STOP").touch()
    perp, said = go(own, clock, 8)
    assert said == [f"BTCUSDT: closed: {tmp_path / 'STOP'} exists"]
    assert perp == 0.0
    (tmp_path / "STOP").unlink()
    perp, said = go(own, clock, 8)
    assert said == []
    assert perp < 0


def test_a_drawdown_closes_for_good_and_survives_a_restart(tmp_path: Path) -> None:
    limits = Limits(drawdown=1e-7)  # the fees of the first trade are more
    own, clock = held(tmp_path, [1.0] * 9, limits)
    go(own, clock, 2)
    perp, said = go(own, clock, 8)
    assert "closed: drawdown of 0." in said[0]
    assert "--reset lets it trade again" in said[0]
    assert perp == 0.0
    assert go(own, clock, 8)[0] == 0.0
    own.close()
    own = paper(tmp_path, still(clock), ["BTCUSDT"], Script([1.0] * 9), limits=limits)
    assert go(own, clock, 8)[0] == 0.0
    own.close()
    own = paper(tmp_path, still(clock), ["BTCUSDT"], Script([1.0] * 9), limits=Limits())
    assert go(own, clock, 8)[0] == 0.0  # the stop outlives its limit
    own.reset()
    assert go(own, clock, 8)[0] < 0


def test_a_position_that_pays_is_closed_and_not_opened_again(tmp_path: Path) -> None:
    # rates are positive, so a long perpetual pays, and has for 180 settlements
    own, clock = held(tmp_path, [-1.0] * 9, Limits(funding_flip=3))
    assert "has paid for" in own.account.decisions[0]["limits"][0]
    assert go(own, clock, 9)[0] == 0.0
    own.close()
    other, clock = held(tmp_path / "other", [1.0] * 9, Limits(funding_flip=3))
    assert go(other, clock, 9)[0] < 0.0


def batch(**settings: Any) -> Batch:
    made = Batch(2, random_start=False, episode=None, **settings)
    made.reset(0)
    return made


@pytest.mark.parametrize(
    ("settings", "carry"),
    [
        ({"actions": "target"}, -0.6),
        ({"actions": "continuous"}, 0.4),
        ({"actions": "continuous", "dials": ("carry",)}, -0.4),
        ({"actions": "discrete", **GRID}, 0.5),
        ({"actions": "indexed", **GRID}, 1.0),
        ({"actions": "indexed", "dials": ("carry", "leverage"), **GRID}, 1.0),
    ],
    ids=str,
)
def test_every_kind_of_action_is_read_as_the_kernel_reads_it_and_closed(
    tmp_path: Path, settings: dict[str, Any], carry: float
) -> None:
    own = batch(**settings)
    check_closable(own)
    rng = np.random.default_rng(1)
    for _ in range(6):
        if settings["actions"] == "indexed":
            wanted: Any = rng.integers(1, len(own.decisions), 2)
            rows = own.decisions[wanted]
        elif settings["actions"] == "discrete":
            wanted = rows = np.array([[rng.integers(1, 7), rng.integers(3), rng.integers(2)]] * 2)
        elif settings["actions"] == "target":
            wanted = rows = np.array([[0.0, rng.uniform(-1, 1), 1.0, rng.uniform(1, 9)]] * 2)
        else:
            wanted = rows = rng.uniform(-1, 1, (2, own.actions.shape[1]))
        own.step(wanted)
        hold, carry, hedge, leverage = decoded(own, rows[0], 0)
        targets = own.store.legs[0, 0, [t.TARGET_CARRY, t.TARGET_HEDGE, t.TARGET_LEVERAGE]]
        assert not hold
        assert targets.tolist() == pytest.approx([carry, hedge, leverage], rel=1e-6)
    (tmp_path / "STOP").touch()
    ruling = Gate(Limits(), tmp_path).rule(own, wanted, [])
    assert len(ruling.reasons) == 2
    own.step(ruling.actions)
    assert own.store.legs[:, 0, t.TARGET_CARRY].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "settings",
    [
        {"actions": "continuous", "dials": ("leverage",)},
        {"actions": "discrete", "carry_grid": (0.5, 1.0)},
    ],
    ids=str,
)
def test_limits_want_actions_that_can_close(settings: dict[str, Any]) -> None:
    with pytest.raises(LiveError, match="need actions that can close a position"):
        check_closable(batch(**settings))


def test_a_limit_out_of_range_is_refused() -> None:
    with pytest.raises(LiveError, match="drawdown"):
        Limits(drawdown=2.0)
