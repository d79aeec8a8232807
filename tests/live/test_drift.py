"""Assumptions against reality: fills beside the books of a mock exchange, estimates beside what
settled, results beside the band of a backtest, and the scale that they support.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.core.run_folder import RunError
from experiments.live import reality
from experiments.live.drift import DRAWS, daily, drift, scale_of, text
from experiments.live.mock import MockExchange
from experiments.live.mock_world import World, world_of
from experiments.monitoring.accounts import DRIFT
from experiments.rollout.rollout import write_rollouts
from fundenv.live import Paper
from tests.live.monitored import watching
from tests.live.world import HOUR, START, coins, ms, paper

COINS = ("BTCUSDT", "ETHUSDT")
AT_ONCE = ms("2024-03-01 08:00:20")  # right after a decision's bar has closed


@contextmanager
def traded(
    folder: Path,
    days: float = 5.0,
    *,
    half: float = 0.3,
    shift: float = 0.0,
    start: int = AT_ONCE,
    agent: str = "random",
) -> Iterator[tuple[Paper, World]]:
    """An account that has traded at a mock exchange, looking `start` and every 8 h from there."""
    made = world_of({"binance": coins(COINS)}, START)
    made.spread_bp = {"perp": half, "spot": half}
    made.shifts = {("binance", coin): shift for coin in COINS}
    server = MockExchange(made)
    own = paper(folder / "binance", server.url, symbols=COINS, agent=agent)
    own.look()
    for k in range(round(days * 3) + 1):
        made.now_ms = start + k * 8 * HOUR
        own.look()
    yield own, made
    own.close()
    server.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Paper, World]]:
    with traded(tmp_path_factory.mktemp("plain")) as found:
        yield found


def test_a_fill_stands_beside_the_book_of_its_open(plain: tuple[Paper, World]) -> None:
    """The mock's book stands 0.3 bp around the open at which the account fills; what the account
    paid beyond its half-spread is impact.
    """
    own, made = plain
    fills = reality.fills(own)
    assert set(fills["leg"]) == {"perp", "spot"}
    assert set(fills["side"]) == {-1.0, 1.0}
    for row in fills.itertuples():
        table = made.tables["binance", row.symbol, row.leg]
        price = table.values[np.searchsorted(table.times, row.close), 0]
        assert row.shown == pytest.approx(price * (1.0 + row.side * 0.3e-4), rel=1e-12)
        half = own.plan.venue.value("execution", f"half_spread_{row.leg}_bp", row.symbol)
        assert row.assumed == pytest.approx(price * (1.0 + row.side * half / 1e4), rel=1e-12)
        assert row.extra_bp == pytest.approx(0.3 - half, abs=1e-3)
        paid = row.side * (row.filled / row.assumed - 1.0)
        assert row.size_bp == pytest.approx(1e4 * paid)
        assert row.size_bp > 0
        assert 0 <= row.seconds < 600


def test_books_stand_beside_the_file_of_the_venue(plain: tuple[Paper, World]) -> None:
    books = reality.books(plain[0])
    assert len(books) == 2 * len(plain[0].quotes)
    assert books["shown_bp"].to_numpy() == pytest.approx(0.3)
    btc = books[(books["symbol"] == "BTCUSDT") & (books["leg"] == "perp")]
    assert btc["assumed_bp"].unique().tolist() == [0.055]


def test_nothing_differs_where_the_estimate_was_right(plain: tuple[Paper, World]) -> None:
    rates = reality.rates(plain[0])
    assert len(rates) >= 2 * 14
    assert rates["settled"].to_numpy() == pytest.approx(rates["expected"].to_numpy(), abs=1e-4)
    report = drift(plain[0])
    assert report.alarms == []
    assert {line.name for line in report.lines} >= {
        "perp price at once, worse than assumed",
        "spot half-spread over assumed",
        "funding, settled less expected",
        "net growth a day",
    }
    assert "no scale of capital before 14 days" in " ".join(report.notes)
    assert "ALARM" not in text(report, "binance")


def test_dear_books_and_wrong_estimates_are_alarms(tmp_path: Path) -> None:
    with traded(tmp_path, half=8.0, shift=3e-5) as (own, _):
        report = drift(own)
        lines = {line.name: line for line in report.lines}
        assert lines["funding, settled less expected"].mean == pytest.approx(-0.3, abs=1e-3)
        assert lines["perp half-spread over assumed"].low > 5.0
        said = " ".join(report.alarms)
        for name in ("perp price", "spot price", "perp half-spread", "funding, settled"):
            assert name in said
        assert f"ALARM  {report.alarms[0]}" in text(report, "binance")
        assert json.loads(json.dumps(report.record()))["alarms"] == report.alarms
        (own.folder / DRIFT).write_text(json.dumps(report.record()))
        with watching(tmp_path / "monitor", world_of({"binance": coins(COINS)}, START),
                      spots={}, papers=(tmp_path,)) as watch:  # fmt: skip
            assert watch.view().accounts[0]["alarm"].startswith("perp price")


def test_decisions_that_came_late_are_not_compared(tmp_path: Path) -> None:
    with traded(tmp_path, 2.0, start=AT_ONCE + HOUR) as (own, _):
        assert len(own.account.steps) > 3
        assert len(reality.fills(own)) == 0
        assert "no fill has been compared" in " ".join(drift(own).notes)


def test_a_restarted_account_tells_the_same(plain: tuple[Paper, World], tmp_path: Path) -> None:
    with traded(tmp_path, 1.0) as (own, made):
        before = reality.books(own)
        own.close()
        server = MockExchange(made)
        again = paper(own.folder, server.url, symbols=COINS, agent="random")
        pd.testing.assert_frame_equal(before, reality.books(again))
        again.close()
        server.close()


def backtest(folder: Path, own: Paper, growth: float) -> None:
    """Rollouts of the agent on 120 days, `growth` a day on the mean."""
    from experiments.rollout.make import roll_out
    from fundenv.market import build_market

    market = build_market([coins(COINS)["BTCUSDT"]])
    item = roll_out(own.account.agent, market, dict(own.plan.settings))[0]  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    steps = growth / 3 + 1e-5 * rng.standard_normal(len(item.time)) + 0.045 / 1095
    equity = item.equity[0] * np.exp(np.concatenate([[0.0], np.cumsum(steps)]))
    write_rollouts(folder, "test", [replace(item, equity=equity)])


def test_results_outside_the_band_of_the_backtest_are_an_alarm(
    plain: tuple[Paper, World], tmp_path: Path
) -> None:
    own = plain[0]
    net = daily(own)
    assert net is not None
    mean = float(net.mean())
    cases = (("as", 0.0, ""), ("more", 1e-3, "below"), ("less", -1e-3, "above"))
    for name, off, alarm in cases:
        growth = mean + off
        backtest(tmp_path / name, own, growth)
        found = [each for each in drift(own, tmp_path / name).alarms if "windows" in each]
        assert len(found) == bool(alarm)
        assert all(alarm in each for each in found)
    with pytest.raises(RunError, match="does not exist"):
        drift(own, tmp_path / "none")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(14, 60), st.floats(-3e-3, 3e-3), st.floats(0, 2e-3))
def test_the_scale_is_a_share_that_better_results_raise(
    seed: int, days: int, mean: float, better: float
) -> None:
    net = mean + 1e-3 * np.random.default_rng(seed).standard_normal(days)
    low, middle, chance = scale_of(net)
    assert 0.0 <= low <= middle <= 1.0
    assert chance * DRAWS == pytest.approx(round(chance * DRAWS))
    assert (low > 0) == (chance > 0.95) or abs(chance - 0.95) < 1e-3
    more = scale_of(net + better)
    assert all(a >= b - 1e-12 for a, b in zip(more, (low, middle, chance), strict=True))
    wilder = scale_of(net, variance=1.0)
    assert wilder[0] <= low
    assert wilder[2] == chance
    assert scale_of(net) == (low, middle, chance)


def test_the_scale_by_hand() -> None:
    """Every day +1 bp, and a backtest whose days vary by 1 %: 1e-4 / 1e-4 = the whole capital; by
    2 %: a quarter.
    """
    net = np.full(20, 1e-4)
    assert scale_of(net, variance=1e-4) == pytest.approx((1.0, 1.0, 1.0))
    assert scale_of(net, variance=4e-4) == pytest.approx((0.25, 0.25, 1.0))
    assert scale_of(-net) == (0.0, 0.0, 0.0)


def test_the_command_writes_the_report_and_the_account_does_so_each_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments.paper import Args, main

    made = world_of({"binance": coins(COINS)}, START)
    server = MockExchange(made)
    given: dict[str, Any] = {"symbols": COINS, "agent": "random", "out": tmp_path}
    given |= {"mirror": server.url, "rate": 1e4}
    main(Args(**given, once=True))
    for k in range(4):
        made.now_ms = AT_ONCE + k * 8 * HOUR
        main(Args(**given, once=True))
    assert json.loads((tmp_path / "binance" / DRIFT).read_text())["decisions"] >= 3
    (tmp_path / "binance" / DRIFT).unlink()
    capsys.readouterr()
    main(Args(**given, drift=True))
    assert "binance: 4 decisions, 1 whole days" in capsys.readouterr().out
    assert (tmp_path / "binance" / DRIFT).exists()
    server.close()
