"""Learners of one capital compared: walks, subsets, pairs, the clairvoyant, the command."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from agents.training.portfolio_accounts import Answers
from experiments.rollout.make import roll_out_paths
from experiments.studies import portfolio_learning as study
from experiments.studies.portfolio_headroom import headroom, played, solve
from experiments.studies.portfolio_walks import (
    PORTFOLIO,
    half_years,
    paired_over,
    subsets,
    walk,
)
from fundenv.market import Market, synthetic_frames, synthetic_market, write_frames


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
    assert np.ptp(found.growth[0]) > 0.01


def test_subsets_are_different_and_begin_with_all() -> None:
    found = subsets(("A", "B", "C", "D", "E"), 7, 0)
    assert found[0] == ("A", "B", "C", "D", "E")
    assert len(set(found)) == len(found) == 7
    assert [len(names) for names in found[1:]] == [3, 2, 4, 1, 3, 2]
    assert subsets(("A",), 3, 0) == [("A",)]


def test_the_interval_of_a_pair_holds_what_is_true_as_often_as_it_says() -> None:
    rng, inside, below = np.random.default_rng(0), 0, 0
    for trial in range(60):
        common = rng.normal(size=(120, 1, 1))
        own = rng.normal(size=(1, 6, 1)) + rng.normal(size=(1, 1, 4))
        noise = rng.normal(size=(120, 6, 4))
        found = paired_over(common + own + noise, seed=trial, draws=300)
        inside += found.low <= 0.0 <= found.high
        below += found.p_value < 0.05
    assert 45 <= inside <= 60
    assert below <= 12
    sure = paired_over(1.0 + 0.1 * noise, draws=200)
    assert sure.p_value == 0.0
    assert sure.low > 0.9


def test_the_clairvoyant_is_the_best_of_all_schedules() -> None:
    rng = np.random.default_rng(3)
    length, states = 4, 3
    record = Answers(
        obs=np.zeros((length, 1, states, 1), np.float32),
        gain=rng.normal(size=(length, 1, states)).astype(np.float32),
        liquidated=rng.random((length, 1, states)) < 0.2,
        held=np.array([[[0.0, 0.9, 0.4]]] * length, np.float32),
        asked=np.array([[0.0, 1.0, 0.5]], np.float32),
        cost=np.array([0.3], np.float32),
        coin=np.array([-1, 0, 1]),
    )
    record.liquidated[..., 0] = False
    path, best = solve(record)
    every = [
        played(record, np.array(schedule))
        for schedule in itertools.product(range(states), repeat=length)
    ]
    assert best == pytest.approx(max(every), abs=1e-5)
    assert played(record, path) == pytest.approx(best, abs=1e-5)


def test_without_funding_the_clairvoyant_has_less(market: Market) -> None:
    found = headroom(market, (0.95, 2.0), 0.0, 0)
    assert found.known > found.basis > 0.0
    assert found.known > found.highest >= found.shifted


def test_the_command_trains_walks_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    for seed, symbol in enumerate(("AAAUSDT", "BBBUSDT")):
        frames = synthetic_frames(years=0.9, seed=seed, symbol=symbol, start="2020-01-01")
        write_frames(frames, folder, venue="binance")
    tiny: dict[str, Any] = {
        "n_envs": 4,
        "imitate": 64,
        "counterfactual_rounds": 1,
        "counterfactual_envs": 2,
        "counterfactual_days": 10,
    }
    args = study.Args(
        data=folder,
        symbols=("AAAUSDT", "BBBUSDT"),
        folds=("2020-01:2020-05/2020-06:2020-10",),
        rules=("rotation leverage=1",),
        seeds=2,
        steps=256,
        subsets=2,
        cash_rates=(0.0, 0.02),
        params=tuple(f"portfolio_ppo.{name}={value}" for name, value in tiny.items()),
        headroom=True,
        out=tmp_path / "run",
    )
    study.main(args)
    said = capsys.readouterr().out
    assert "portfolio_ppo less rotation leverage=1:" in said
    assert "clairvoyant" in said
    frame = pd.read_parquet(tmp_path / "run" / "results.parquet")
    assert len(frame) == 3 * 2 * 1
    assert (tmp_path / "trials.csv").is_file()
    before = frame.set_index(["agent", "coins"])["growth"]
    study.main(replace(args, env=("cost_scale=5", "fee_scale=5")))  # nothing is trained again
    dear = pd.read_parquet(tmp_path / "run" / "results.parquet")
    dear = dear.set_index(["agent", "coins"])["growth"]
    rule = "rotation leverage=1"
    assert (dear[rule] <= before[rule]).all()
    assert (dear[rule] < before[rule]).any()
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 2
