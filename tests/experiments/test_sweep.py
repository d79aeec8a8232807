"""A sweep: cells are ordinary runs, one table counts what was tried, and it stops and goes on."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import benchmark, report, sweep
from experiments.analysis.printers import read_results
from experiments.benchmarking import trials
from experiments.core.cli import Stopped
from experiments.core.run_folder import RunError
from experiments.sweeping import cells, grid, table
from tests.experiments.conftest import SMALL

ENTROPY = "ppo.entropy=0.005,0.02"
ONE, TWO = "ppo.entropy=0.005", "ppo.entropy=0.02"


def arguments(out: Path, *vary: str, **more: Any) -> sweep.Args:
    given: dict[str, Any] = {
        "agents": ("carry", "ppo"),
        "seeds": 1,
        "steps": 512,
        "folds": 0,
        "cash_rates": (0.02,),
        "workers": 1,
        "params": SMALL[:-1],
        "train": "2020-01:2020-06",
        "test": "2022-01:2022-03",
    }
    return sweep.Args(out=out, vary=vary, **given | more)


def of_benchmark(args: sweep.Args, **more: Any) -> benchmark.Args:
    names = benchmark.Args.__dataclass_fields__
    return benchmark.Args(**{name: getattr(args, name) for name in names} | more)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of two cells; do not write into it."""
    out = tmp_path_factory.mktemp("runs") / "wide"
    sweep.main(arguments(out, ENTROPY))
    return out


def test_a_grid_has_every_combination_and_every_cell_a_name_of_its_own() -> None:
    found = grid.grid(("symbols=A,B+C", "env.dials=[x,y],[z]", "steps=5"))
    assert [list(values.values()) for values in found.values()] == [
        ["A", "[x,y]", "5"],
        ["A", "[z]", "5"],
        ["B+C", "[x,y]", "5"],
        ["B+C", "[z]", "5"],
    ]
    assert len(found) == 4
    assert list(grid.grid(("steps=5,6",))) == ["steps=5", "steps=6"]
    near = grid.grid(("symbols=a:b,a_b,a/b," + "x" * 300 + "," + "x" * 301,))
    assert len(near) == 5
    assert all(set(name).isdisjoint("/:\\") and len(name) < 150 for name in near)


def test_a_value_becomes_what_the_command_line_would_make_of_it() -> None:
    base = of_benchmark(arguments(Path("none")))
    made = grid.args_of(
        base,
        {
            "symbols": "A+B",
            "cash-rates": "0.01+0.03",
            "steps": "7",
            "joint": "true",
            "data": "here",
            "train_on": "generator",
            "env.episode": "30D",
            "ppo.entropy": "0.5",
        },
    )
    assert (made.symbols, made.cash_rates, made.steps) == (("A", "B"), (0.01, 0.03), 7)
    assert (made.joint, made.data, made.train_on) == (True, Path("here"), "generator")
    assert made.env == ("episode=30D",)
    assert made.params == (*base.params, "ppo.entropy=0.5")


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ((), "--vary is empty"),
        (("symbols",), "--vary symbols: expected KEY=A,B"),
        (("steps=5,",), "--vary steps=5,: expected KEY=A,B"),
        (("steps=5,5",), "--vary steps has 5 twice"),
        (("steps=5", "steps=6"), "--vary steps stands twice"),
        (("steps=five",), "--vary steps=five: expected a whole number"),
        (("joint=maybe",), "--vary joint=maybe: expected one of true, false"),
        (("steps=512,0",), "cell steps=0: --steps 0: give at least 1"),
        (("seeds=1,2",), "--vary seeds: every cell has the seeds of --seeds"),
        (("epsiode=1",), "--vary epsiode: the benchmark has no such option"),
        (("env.epsiode=1D",), "cell env.epsiode=1D: .*did you mean episode"),
        (("env.episode=30D,-1D",), "cell env.episode=-1D: .*episode"),
        (("ppo.entrpy=1",), "cell ppo.entrpy=1: .*did you mean entropy"),
        (("sac.tau=1",), "cell sac.tau=1: --params sac.tau: expected .* an agent of this run"),
        (("ppo.hidden=4,8",), "--vary ppo.hidden: --params sets it too"),
        (("symbols=A,B",), "cell symbols=A: --symbols A needs --data"),
        (("steps=1", *(f"env.e{k}={','.join('abcdefghij')}" for k in range(6))), "1,000,000 cells"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    vary: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=said) as error:
        sweep.main(arguments(tmp_path / "wide", *vary))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_cell_is_the_run_that_the_benchmark_makes(swept: Path, tmp_path: Path) -> None:
    args = arguments(swept, ENTROPY)
    alone = tmp_path / "alone"
    benchmark.main(of_benchmark(args, out=alone, params=(*args.params, TWO)))
    for name in ("results.parquet", "stress.parquet", "daily/ppo-0.parquet"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(swept / TWO / name), pd.read_parquet(alone / name), check_exact=True
        )
    made = {path.relative_to(alone).as_posix() for path in alone.rglob("*") if path.is_file()}
    kept = {path.relative_to(swept / TWO).as_posix() for path in (swept / TWO).rglob("*")}
    assert {name for name in made if "tfevents" not in name} <= kept
    report.main(report.Args(runs=(swept / ONE, swept / TWO), out=tmp_path / "page.html"))
    assert (tmp_path / "page.html").stat().st_size > 0


def test_the_table_has_what_the_cells_have_and_counts_every_configuration(swept: Path) -> None:
    frame = pd.read_parquet(swept / "results.parquet")
    assert len(frame) == 4
    for row in frame.itertuples():
        standing = read_results(swept / row.cell)[0].standing(row.agent)
        assert (row.growth, row.low, row.seeds) == (standing.growth, standing.low, standing.seeds)
    tried = dict(zip(frame["agent"], frame["tried"], strict=True))
    assert tried == {"ppo": 2, "carry": 1}  # entropy does not reach the rule
    for cell in (ONE, TWO):
        luck = read_results(swept / cell)[0].luck[0]
        assert (luck.configurations, luck.without_figure) == (2, 0)
    assert "configurations tried of each agent: " in (swept / "results.md").read_text()
    assert not (swept / trials.LOG).exists()
    logged = trials.read(swept.parent / trials.LOG)
    assert sorted(logged["training"]) == [f"wide/{cell}/ppo-0" for cell in (ONE, TWO)]


def test_a_later_run_beside_the_sweep_counts_its_cells(swept: Path) -> None:
    beside = trials.others(swept.parent / "later", recorded=False)
    assert len(beside) == 2
    assert beside["configuration"].str.contains(" in ppo.entropy=").all()
    assert len(trials.others(swept / ONE, recorded=False)) == 1


def test_the_settings_of_the_environment_are_configurations_too(tmp_path: Path) -> None:
    """The parameters of the agent are the same in both cells."""
    (tmp_path / "wide").mkdir()
    (tmp_path / "wide" / trials.SWEEP).write_text("{}")
    for cell in ("env.episode=30D", "env.episode=60D"):
        training = trials.Training.of(tmp_path / "wide" / cell, "ppo-0")
        training.start("ppo", {}, steps=100, seed=0, market="abc")
        training.finish(0.1)
    assert len(trials.others(tmp_path / "wide" / "env.episode=30D", recorded=False)) == 1


def test_a_rule_that_a_setting_reaches_is_deflated_by_the_count(tmp_path: Path) -> None:
    out = tmp_path / "wide"
    more = {"agents": ("zscore", "clairvoyant"), "params": ()}
    sweep.main(arguments(out, "zscore.entry=0.6,1", **more))
    frame = pd.read_parquet(out / "results.parquet")
    rules, bounds = frame[frame["kind"] == "rule"], frame[frame["kind"] == "bound"]
    assert rules["growth"].nunique() == 2
    assert rules["growth"].is_monotonic_decreasing
    assert list(rules["tried"]) == [2, 2]
    assert list(bounds.index) == [2, 3], "bounds stand last"
    assert bounds[["tried", "deflated_sharpe"]].isna().all().all()
    one = grid.grid(("zscore.entry=1",))
    alone = table.rows(out, one).set_index("agent").loc["zscore", "deflated_sharpe"]
    among = rules.set_index("cell").loc["zscore.entry=1", "deflated_sharpe"]
    assert among < alone


def test_ctrl_c_keeps_what_is_done_and_a_resumed_sweep_may_grow(
    swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, done = tmp_path / "wide", []

    def work(job: cells.CellJob, *rest: Any) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        cells.do(job, *rest)
        done.append(job.key)

    monkeypatch.setattr(sweep, "do", work)
    with pytest.raises(Stopped, match=r"finished parts are kept in .* go on with --resume"):
        sweep.main(arguments(out, ENTROPY))
    assert done == [f"{ONE}/carry-0", f"{ONE}/ppo-0", f"{TWO}/carry-0"]
    with pytest.raises(RunError, match="holds a run already; continue it with --resume"):
        sweep.main(arguments(out, ENTROPY))
    with pytest.raises(RunError, match=rf"1 cell\(s\) that --vary does not name, such as {TWO}"):
        sweep.main(arguments(out, ONE, resume=True))
    done.clear()
    monkeypatch.setattr(
        sweep, "do", lambda job, *rest: (done.append(job.key), cells.do(job, *rest))
    )
    sweep.main(arguments(out, ENTROPY + ",0.1", resume=True))
    assert done == [f"{TWO}/ppo-0", "ppo.entropy=0.1/carry-0", "ppo.entropy=0.1/ppo-0"]
    for cell in (ONE, TWO):
        pd.testing.assert_frame_equal(
            pd.read_parquet(swept / cell / "results.parquet"),
            pd.read_parquet(out / cell / "results.parquet"),
            check_exact=True,
        )
    frame = pd.read_parquet(out / "results.parquet")
    assert set(frame[frame["agent"] == "ppo"]["tried"]) == {3}
    assert len(json.loads((out / trials.SWEEP).read_text())["cells"]) == 3


@pytest.mark.slow
def test_several_processes_make_the_same_sweep(swept: Path, tmp_path: Path) -> None:
    out = tmp_path / "wide"
    sweep.main(arguments(out, ENTROPY, workers=2))
    pd.testing.assert_frame_equal(
        pd.read_parquet(swept / "results.parquet"),
        pd.read_parquet(out / "results.parquet"),
        check_exact=True,
    )


def test_cells_of_one_market_hold_it_once() -> None:
    """Also where they are sent to a worker."""
    shared = cells.Shared()
    base = of_benchmark(arguments(Path("none")), agents=("carry",), params=())

    def sent(episodes: str) -> int:
        found = {}
        for name, values in grid.grid((f"env.episode={episodes}",)).items():
            plan = benchmark.prepare(grid.args_of(base, values), shared.spans)
            found[name] = benchmark.context_of(plan, Path(name), shared.shocks(plan))
        markets = [context.markets["test"].bars for context in found.values()]
        assert all(bars is markets[0] for bars in markets)
        return len(pickle.dumps(found))

    assert sent("20D,30D,40D,50D,60D") < 1.05 * sent("20D")


def test_folds_choose_among_candidates_in_every_cell(tmp_path: Path) -> None:
    preset = tmp_path / "two.toml"
    preset.write_text(
        "seeds = 1\nfolds = 1\n[[ppo]]\nsteps = 256\n[[ppo]]\nsteps = 256\nentropy = 0.02\n"
    )
    out = tmp_path / "wide"
    more = {"preset": str(preset), "folds": None, "steps": None, "train": "2020-01:2020-12"}
    sweep.main(arguments(out, "env.episode=30D,60D", agents=("ppo", "ppo_ensemble"), **more))
    frame = pd.read_parquet(out / "results.parquet")
    assert sorted(frame["agent"]) == ["ppo", "ppo", "ppo_ensemble", "ppo_ensemble"]
    assert np.isfinite(frame["deflated_sharpe"]).all()
