"""Learners of one capital compared: walks, subsets, pairs, the clairvoyant, the command."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from experiments.rollout.make import roll_out_paths
from experiments.studies import portfolio_calibration as calibration
from experiments.studies import portfolio_learning as study
from experiments.studies.portfolio_headroom import gains, schedules, solve
from experiments.studies.portfolio_panel import SOURCES, Panel
from experiments.studies.portfolio_records import Entrant, Record
from experiments.studies.portfolio_walks import PORTFOLIO, Walk, half_years, subsets, walk
from fundenv.dynamics.types import PARTS
from fundenv.market import Market, synthetic_market
from tests.agents.one_capital_learners import two_coins_answered
from tests.markets import write_coins


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(("btc", "eth", "alt"), years=0.7, seed=1)


def test_a_walk_is_the_rollouts_of_every_half_year_and_cash_rate(market: Market) -> None:
    names, halves = half_years(market, "2020-01:2020-09")
    assert names == ["2020-01", "2020-07"]
    rates = (0.0, 0.045)
    found = walk(agents.make("rotation", enter=-5.0, exit=-6.0), halves, rates)
    for at, rate in enumerate(rates):
        agent = agents.make("rotation", enter=-5.0, exit=-6.0)
        own = [
            item.metrics()
            for item in roll_out_paths(agent, halves, PORTFOLIO | {"cash_rate": rate})
        ]
        growth = [item.net_log_growth for item in own]
        np.testing.assert_allclose(found.growth[:, at], growth, atol=1e-9)
        falls = [abs(item.max_drawdown) for item in own]
        np.testing.assert_allclose(found.fall[:, at], falls, atol=1e-9)
        for path, item in enumerate(own):
            parts = [item.parts[name] for name in PARTS]
            np.testing.assert_allclose(found.parts[path, at], parts, atol=1e-9)
            whole = abs(item.years * 365 - round(item.years * 365)) < 1e-6
            if whole:  # a rollout leaves out a last piece of a day
                assert found.cvar[path, at] == pytest.approx(item.cvar_95, abs=1e-9)
    assert np.ptp(found.growth[0]) > 0.01
    for path, days in enumerate(found.length):
        own_days = found.days[path, :days]
        assert 365 * own_days.mean() == pytest.approx(found.growth[path].mean(), abs=1e-9)
        assert not found.days[path, days:].any()


def test_an_account_that_is_ruined_keeps_its_loss_in_the_days(market: Market) -> None:
    _, halves = half_years(market, "2020-01:2020-09")
    agent = agents.make("equal_weight", leverage=3.0, band=0.02)
    found = walk(agent, halves, (0.0,), {"ruin_fraction": 0.99, "fee_scale": 10.0})
    assert (found.fall > 0.01).all()
    assert (found.days.sum(axis=1) < -0.009).all()
    assert list(found.length) == [181, 73]
    assert not found.days[0, -20:].any()  # ruined long before


def test_subsets_are_different_and_begin_with_all() -> None:
    found = subsets(("A", "B", "C", "D", "E"), 7, 0)
    assert found[0] == ("A", "B", "C", "D", "E")
    assert len(set(found)) == len(found) == 7
    assert [len(names) for names in found[1:]] == [3, 2, 4, 1, 3, 2]
    assert subsets(("A",), 3, 0) == [("A",)]


def test_the_clairvoyant_is_the_best_of_all_schedules() -> None:
    rng = np.random.default_rng(3)
    length, states = 4, 3
    record = two_coins_answered(rng, length, 0.3)
    record.liquidated[..., 1:] = rng.random((length, 1, states))[..., 1:] < 0.2
    path, best = solve(record)
    every = [
        gains(record, np.array(schedule)).sum()
        for schedule in itertools.product(range(states), repeat=length)
    ]
    assert best == pytest.approx(max(every), abs=1e-5)
    assert gains(record, path).sum() == pytest.approx(best, abs=1e-5)


def test_without_funding_the_clairvoyant_has_less(market: Market) -> None:
    found = schedules(market, (0.95, 2.0), 0.0, 0)
    assert found.known.sum() > found.basis.sum() > 0.0
    assert found.known.sum() > found.shifted.sum(axis=1).max()


def test_a_calibration_knows_nothing_of_the_fold(market: Market) -> None:
    values = calibration.drawn("rotation", 5, 0)
    assert len(values["span"]) == 6
    assert values["enter"][0] == agents.make("rotation").params.to_dict()["enter"]
    short = synthetic_market(("btc", "eth", "alt"), years=1.6, seed=2)
    seen = calibration.pieces("rotation", values, short, {}, lambda: None)
    first = seen.ends.min()
    early = calibration.chosen(values, seen, pd.Timestamp(first).tz_localize("UTC"))
    later = seen.ends > first
    assert later.any()
    seen.growth[:, later] = np.random.default_rng(0).normal(size=seen.growth[:, later].shape)
    assert calibration.chosen(values, seen, pd.Timestamp(first).tz_localize("UTC")) == early
    # nothing is known before the first half-year ends: the defaults
    none = calibration.chosen(values, seen, pd.Timestamp("2000-01-01", tz="UTC"))
    assert none == {name: array[0] for name, array in values.items()}
    # the criterion prefers what grows more than the defaults in every episode
    seen.growth[:] = 0.01
    seen.fall[:] = 0.0
    seen.growth[3] = 0.02
    best = calibration.chosen(values, seen, pd.Timestamp(seen.ends.max()).tz_localize("UTC"))
    assert best == {name: array[3] for name, array in values.items()}


def test_the_command_trains_walks_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    write_coins(folder, years=0.75, start="2020-01-01")
    tiny: dict[str, Any] = {
        "n_envs": 4,
        "n_steps": 16,
        "episode_days": 10,
        "crash_share": 0.0,
    }
    args = study.Args(
        data=folder,
        symbols=("AAAUSDT", "BBBUSDT"),
        folds=("2020-01:2020-05/2020-06:2020-08",),
        thin=("2020-06",),
        rules=("rotation leverage=1", "ewma"),
        slow=("portfolio_clairvoyant leverage=2",),
        calibrated=("equal_weight",),
        draws=3,
        seeds=2,
        steps=256,
        subsets=2,
        singles=True,
        cash_rates=(0.0, 0.02),
        costs=(1.0, 2.0),
        params=tuple(f"portfolio_ppo.{name}={value}" for name, value in tiny.items()),
        headroom=True,
        out=tmp_path / "run",
    )
    study.main(args)
    said = capsys.readouterr().out
    assert "portfolio_ppo less rotation leverage=1" in said
    assert "clairvoyant less shuffled" in said
    assert (tmp_path / "trials.csv").is_file()
    check_results(tmp_path / "run")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "walks").glob("*")}
    assert len(files) == 2 * 5 + 1
    before = pd.read_parquet(tmp_path / "run" / "results.parquet")
    study.main(replace(args, headroom=False))  # nothing is trained or walked again
    assert files == {path: path.stat().st_mtime_ns for path in files}
    study.main(replace(args, headroom=False, env=("cost_scale=5", "fee_scale=5")))
    dear = pd.read_parquet(tmp_path / "run" / "results.parquet")
    keys = ["coins", "cash_rate", "cost", "half"]
    rule = "rotation leverage=1"
    less, more = (
        each[each["agent"] == rule].set_index(keys)["growth"].sort_index()
        for each in (dear, before)
    )
    assert (less <= more).all()
    assert (less < more).any()
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 2


def test_a_liquidation_is_counted_and_named() -> None:
    """One account of one subset at one cash rate lost its legs; its loss is one of the sources."""
    subsets_, halves, rates, days = [("A", "B"), ("A",)], 2, (0.0, 0.02), 30
    shape = (len(subsets_), halves, len(rates))
    parts = np.zeros((*shape, len(PARTS)))
    parts[..., PARTS.index("funding")] = 0.05
    parts[..., PARTS.index("cash_interest")] = rates
    parts[1, 0, 1, PARTS.index("liquidation_loss")] = -0.04
    growth = parts.sum(axis=-1) - np.array(rates)
    closed = np.zeros(shape)
    closed[1, 0, 1] = 2.0
    daily = np.repeat(growth.mean(axis=2)[..., None] / 365, days, axis=2)
    walks = Walk(
        days=daily,
        length=np.full(shape[:2], days),
        growth=growth,
        fall=np.full(shape, 0.01),
        cvar=np.full(shape, -0.001),
        liquidations=closed,
        parts=parts,
        turnover=np.ones(shape),
    )
    who = Entrant(name="flat", agent=agents.make("flat"), kind="rule")
    record = Record(who, 0, 1.0, ("2022-07", "2023-01"), tuple(subsets_), walks)
    panel = Panel([record], subsets=subsets_, singles=[], cash_rates=rates, thin=["2022-07"])
    told = panel.standing("flat")
    assert told["liquidated"] == 1
    assert told["where"] == ["A, 2022-07, cash 2 %, seed 0"]
    assert told["sources"]["losses"] == pytest.approx(-4.0 / 8)
    assert told["mean"] == pytest.approx(5.0 - 4.0 / 8)
    assert told["thin"] == pytest.approx(5.0 - 4.0 / 4)
    assert told["sources"]["cash"] == pytest.approx(0.0)


def check_results(folder: Path) -> None:
    """One table in three files: growth is the sum of its sources, figures and rows agree."""
    frame = pd.read_parquet(folder / "results.parquet")
    np.testing.assert_allclose(frame[list(SOURCES)].sum(axis=1), frame["growth"], atol=1e-6)
    told = json.loads((folder / "results.json").read_text())
    text = (folder / "results.md").read_text()
    together = frame[(frame["cost"] == 1.0)]
    for each in told["standings"]:
        own = together[together["agent"] == each["agent"]]
        walked = own[own["coins"].isin(["AAAUSDT BBBUSDT", each_subset(own)])]
        assert each["mean"] == pytest.approx(walked["growth"].mean())
        assert f"{each['mean']:+.2f}" in text or each["mean"] == pytest.approx(0.0, abs=0.005)
        assert each["mean"] == pytest.approx(sum(each["sources"].values()), abs=1e-6)
    costs = frame[frame["agent"] == "ewma"].pivot_table(
        index=["coins", "half", "cash_rate"], columns="cost", values="growth"
    )
    both = costs.dropna()  # the coins alone are walked at single costs only
    assert 0 < len(both) < len(costs)
    assert both[2.0].mean() < both[1.0].mean()
    pooled = next(
        each
        for each in told["differences"]
        if each["agent"] == "portfolio_ppo" and each["other"] == "ewma" and each["where"] == "all"
    )
    by_name = {each["agent"]: each["mean"] for each in told["standings"]}
    wanted = by_name["portfolio_ppo"] - by_name["ewma"]
    assert pooled["value"] == pytest.approx(wanted, abs=1e-6)


def each_subset(own: pd.DataFrame) -> str:
    """The second subset of the two that are compared."""
    return subsets(("AAAUSDT", "BBBUSDT"), 2, 0)[1][0] if len(own) else ""
