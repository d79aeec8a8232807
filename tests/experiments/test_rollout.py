"""The rollout: its sizes, its files, and that a job makes none twice."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from agents import Agent, AgentError
from agents.base import observed
from agents.rules.actions import targets
from experiments.benchmarking import jobs
from experiments.benchmarking.jobs import Job, JobContext, do
from experiments.rollout.export import daily_returns, write_returns, write_trades
from experiments.rollout.make import roll_out, roll_out_terms
from experiments.rollout.rollout import STATES, Rollout, read_rollouts, write_rollouts
from experiments.tensorboard.pictures import worst_window
from fundenv.batch.cpu import Batch
from fundenv.market import Market, stack, synthetic_market

SETTINGS: dict[str, Any] = {"venue": "binance", "cash_rate": 0.03}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.3, paths=2, seed=3)


@pytest.fixture(scope="module")
def made(market: Market) -> list[Rollout]:
    return roll_out(agents.make("zscore", entry=1.0), market, SETTINGS, seed=7)


class Chooses(Agent):
    """A user's own agent that names decisions by their number, as a DQN does."""

    name = "chooses"
    given: Any = 5

    def env_settings(self) -> dict[str, Any]:
        return {"actions": "indexed", "dials": ("carry",)}

    def act(self, obs: Any, *, deterministic: bool = True) -> Any:
        return np.full(len(obs), self.given)


def test_an_agent_of_indexed_actions_is_rolled_out(market: Market) -> None:
    batch = Batch(1, market=market, **Chooses().env_settings())
    made = roll_out(Chooses(), market, SETTINGS)
    assert made[0].actions.shape == (len(made[0].time), 1)
    assert np.all(made[0].actions == batch.decisions[5])
    assert made[0].equity[-1] != made[0].equity[0]


@pytest.mark.parametrize("given", [6, -1, 0.5, float("nan"), "x"])
def test_actions_that_do_not_fit_are_refused_by_the_name_of_the_agent(
    market: Market, given: Any
) -> None:
    agent = Chooses()
    agent.given = given
    with pytest.raises(AgentError, match="agent chooses: action") as error:
        roll_out(agent, market, SETTINGS)
    assert "\n" not in str(error.value)


def test_equity_has_one_more_than_steps_and_begins_with_the_start(made: list[Rollout]) -> None:
    for item in made:
        assert len(item.equity) == len(item.time) + 1
        np.testing.assert_allclose(np.diff(item.equity), item.parts.sum(axis=1), atol=1e-6)
        assert item.cash_rate == 0.03
        assert item.start == item.times[0] - pd.Timedelta("8h")
    with pytest.raises(ValueError, match="needs 5 equities and 4 of everything else"):
        replace(made[0], time=made[0].time[:4])


def test_what_is_read_is_what_was_written(made: list[Rollout], tmp_path: Path) -> None:
    write_rollouts(tmp_path, "test", made)
    for before, after in zip(made, read_rollouts(tmp_path, "test"), strict=True):
        for field in fields(Rollout):
            one, two = getattr(before, field.name), getattr(after, field.name)
            if isinstance(one, np.ndarray):
                np.testing.assert_array_equal(one, two)
            elif isinstance(one, pd.DataFrame):
                pd.testing.assert_frame_equal(one, two, check_dtype=False)
            else:
                assert one == two
    kept = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert kept == {"zscore-7.parquet"}  # nothing partial is left


def test_chained_paths_keep_the_length_of_a_step(tmp_path: Path) -> None:
    days = ("2021-01-01", "2022-01-01")
    early, late = (synthetic_market(years=0.3, paths=1, seed=4, start=day) for day in days)
    write_rollouts(tmp_path, "test", roll_out(agents.make("carry"), stack([early, late]), SETTINGS))
    (item,) = read_rollouts(tmp_path, "test")
    assert item.step_hours == 8.0
    assert item.years == pytest.approx(len(item.time) * 8 / 8760)


def test_a_job_makes_no_rollout_twice(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []

    def counted(
        agent: Any, market: Market, settings: dict[str, Any], terms: list[Any], seed: int
    ) -> list[list[Rollout]]:
        keys = ("cash_rate", "fee_scale", "cost_scale")
        seen.extend((market.hash, *(each[key] for key in keys)) for each in terms)
        return roll_out_terms(agent, market, settings, terms, seed)

    monkeypatch.setattr(jobs, "roll_out_terms", counted)
    other = synthetic_market(years=0.3, paths=1, seed=5)
    rates = (0.0, 0.03)
    context = JobContext(
        markets={"train": other, "test": market}, settings=SETTINGS, cash_rates=rates, out=tmp_path
    )
    reporter = Counts()
    do(Job(agent="carry"), context, reporter)
    assert len(reporter.costs) == 2
    assert sum(reporter.costs) == pytest.approx(context.judging_cost(Job(agent="carry")))
    wanted = {(market.hash, rate, cost, cost) for rate in rates for cost in (1.0, 2.0)}
    assert len(seen) == len(set(seen)) == 5
    assert set(seen) == wanted | {(other.hash, 0.03, 1.0, 1.0)}


class Looks(Agent):
    """Holds or carries by what it observes of the cash rate and of the funding."""

    name = "looks"
    decides_by_observations = True

    def look_up(self, batch: Any) -> None:
        table = batch.observation_table
        self.cash, self.funding = (observed(table, name) for name in ("cash_rate", "funding_last"))

    def act(self, obs: Any, *, deterministic: bool = True) -> Any:
        return targets(np.zeros((len(obs), 1), bool), self.funding.of(obs) > 20 * self.cash.of(obs))


def test_accounts_at_several_terms_go_side_by_side_as_each_alone(market: Market) -> None:
    """To the bit, trades included; and they are not all the same."""
    terms = [
        {"cash_rate": rate, "fee_scale": cost, "cost_scale": cost}
        for rate in (0.0, 0.03, 0.045)
        for cost in (1.0, 2.0)
    ]
    together = roll_out_terms(Looks(), market, SETTINGS, terms, seed=4)
    alone = [roll_out(Looks(), market, SETTINGS | each, seed=4) for each in terms]
    assert len({item[0].equity[-1] for item in together}) == len(terms)
    for own, other in zip(together, alone, strict=True):
        for one, two in zip(own, other, strict=True):
            for name in (each.name for each in fields(Rollout)):
                got, wanted = getattr(one, name), getattr(two, name)
                if name == "trades":
                    pd.testing.assert_frame_equal(got, wanted, check_exact=True)
                else:
                    np.testing.assert_array_equal(got, wanted)


class Counts:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.costs: list[float] = []

    def at(self, title: str) -> None: ...

    def add(self, cost: float, note: str | None = None) -> None:
        self.costs.append(cost)


def test_daily_returns_compound_to_the_growth_of_equity(
    made: list[Rollout], tmp_path: Path
) -> None:
    frame = daily_returns(made)
    names = [f"zscore-7 {item.symbol}" for item in made]
    assert list(frame.columns) == ["zscore-7", *names]
    for item, name in zip(made, names, strict=True):
        days = 3 * (len(item.time) // 3)
        assert (1 + frame[name]).prod() == pytest.approx(item.equity[days] / item.equity[0])
    np.testing.assert_allclose(frame["zscore-7"], frame[names].mean(axis=1))
    write_returns(tmp_path, made)
    read = pd.read_csv(tmp_path / "daily_returns.csv", index_col="date", parse_dates=True)
    assert read.index.tz is None
    assert read.index.to_series().diff().dropna().unique().tolist() == [pd.Timedelta("1D")]
    whole = pd.read_parquet(tmp_path / "daily_returns.parquet")
    pd.testing.assert_frame_equal(read, whole, check_freq=False, check_index_type=False)


def test_trades_are_kept_as_csv(made: list[Rollout], tmp_path: Path) -> None:
    flat = roll_out(agents.make("flat"), synthetic_market(years=0.3, paths=1, seed=5), SETTINGS)
    write_trades(tmp_path, [*made, *flat])
    read = pd.read_csv(tmp_path / "trades.csv")
    assert len(read) == sum(len(item.trades) for item in made) > 5
    assert read["fee"].sum() == pytest.approx(sum(item.trades["fee"].sum() for item in made))
    write_trades(tmp_path, flat)
    assert pd.read_csv(tmp_path / "trades.csv").empty


def test_a_state_is_found_by_its_name(made: list[Rollout], market: Market) -> None:
    states = np.tile(np.arange(float(len(STATES))), (len(made[0].time), 1))
    numbered = replace(made[0], states=states)
    for k, name in enumerate(STATES):
        assert (numbered.state(name) == k).all()
    held = roll_out(agents.make("carry", leverage=3.0), market, SETTINGS)[0]
    assert held.invested.all()
    assert not roll_out(agents.make("flat"), market, SETTINGS)[0].invested.any()


def test_the_nearest_margin_is_that_of_an_invested_account(made: list[Rollout]) -> None:
    states = np.zeros_like(made[0].states)
    states[:, STATES.index("carry")] = np.arange(len(states)) % 2  # invested in every other step
    states[:, STATES.index("margin_distance")] = np.arange(len(states))
    assert replace(made[0], states=states).nearest_margin == 1.0
    assert np.isnan(replace(made[0], states=np.zeros_like(states)).nearest_margin)


def test_a_rollout_ends_with_the_ruin_of_its_account(market: Market) -> None:
    settings = SETTINGS | {"ruin_fraction": 0.95, "fee_scale": 60.0}
    for item in roll_out(agents.make("carry"), market, settings):
        assert len(item.time) < 10
        assert item.equity[-1] <= 0.95 * item.equity[0] < item.equity[-2]


@pytest.mark.parametrize("place", [3, 200, 290])
def test_the_worst_90_days_hold_the_deepest_fall_within_90_days(
    made: list[Rollout], place: int
) -> None:
    """A slow loss over the whole rollout is deeper than any, and a jump of 5 % is what the picture
    has to show.
    """
    logs = np.cumsum(np.full(300, -1e-4))
    logs[place:] -= 0.05
    own = {"time", "reward", "parts", "turnover", "liquidations", "states", "actions"}
    short = replace(
        made[0],
        **{name: getattr(made[0], name)[:300] for name in own},
        equity=100 * np.exp(np.append(0.0, logs)),
    )
    found = worst_window(short, days=30)
    steps = found.rows.stop - found.rows.start
    assert steps == 90
    assert found.rows.start <= found.peak < place + 1 <= found.trough <= found.rows.stop
    assert found.fall == pytest.approx(1 - short.equity[found.trough] / short.equity[found.peak])
    assert found.fall > 0.05
