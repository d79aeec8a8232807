"""The benchmark from its command line: what a finished run holds."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents
from experiments import benchmark, evaluate
from experiments.analysis.tables import KEYS
from experiments.tensorboard.writer import (
    LIQUIDATIONS,
    NET_GROWTH,
    PART_TAGS,
    REWARD,
    STATE_TAGS,
    TRAINING,
    TURNOVER,
)
from fundenv.dynamics.types import PARTS
from fundenv.market.synthetic.shocks import SHOCKS
from tests.experiments.called import Capture, called, refused
from tests.experiments.small_benchmark import TINY, rows_of

pytestmark = pytest.mark.slow
RULES = ("flat", "carry", "zscore")
SPANS = ("--train", "2021-02-01:2021-03-31", "--test", "2021-04-15:2021-05-20")
# one worker: trainings in several are tests/experiments/test_interrupted.py's
SIZE = ("--seeds", "2", "--folds", "1", "--workers", "1")
SIZE += ("--agents", *RULES, "ppo", "sac", "ppo_ensemble")


def words(data: Path, out: Path) -> tuple[str, ...]:
    """The command line but for its length."""
    where = ("--data", str(data), "--symbols", "AAAUSDT", "BBBUSDT", "--out", str(out))
    return (*where, *SPANS, *SIZE, *TINY)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with two seeds."""
    out = tmp_path_factory.mktemp("runs") / "benchmark"
    assert called(benchmark, *words(data, out), "--steps", "512") == 0
    return out


def test_there_is_one_row_for_each_agent_symbol_seed_and_split(finished: Path) -> None:
    rows = rows_of(finished)
    found = {(r["agent"], r["symbol"], r["seed"], r["split"]) for r in rows}
    runs = [
        ("flat", 0),
        ("carry", 0),
        ("zscore", 0),
        ("ppo", 0),
        ("ppo", 1),
        ("sac", 0),
        ("sac", 1),
        ("ppo_ensemble", 0),
    ]
    wanted = {
        (a, symbol, seed, split)
        for a, seed in runs
        for symbol in ("AAAUSDT", "BBBUSDT")
        for split in ("train", "test")
    }
    assert found == wanted
    assert len(rows) == len(wanted)
    assert all(tuple(r) == KEYS for r in rows)


def test_the_tidy_table_has_every_agent_fold_symbol_seed_cash_rate_and_cost(
    finished: Path,
) -> None:
    tidy = pd.read_parquet(finished / "results.parquet")
    runs = {(rule, 0) for rule in (*RULES, "ppo_ensemble")} | {
        (learner, seed) for learner in ("ppo", "sac") for seed in (0, 1)
    }
    final = tidy[tidy["fold"] == -1]
    keys = ["agent", "seed", "symbol", "cash_rate", "cost"]
    wanted = {
        (a, seed, symbol, rate, cost)
        for a, seed in runs
        for symbol in ("AAAUSDT", "BBBUSDT")
        for rate in (0.0, 0.02, 0.045)
        for cost in (1.0, 2.0)
    }
    assert set(final[keys].itertuples(index=False, name=None)) == wanted
    assert len(final) == len(wanted)
    fold = tidy[tidy["fold"] == 0]
    assert set(fold["agent"]) == {*RULES, "ppo", "sac", "ppo_ensemble"}
    assert set(fold["span"]) == {"fold0-validation"}


def test_a_fold_is_judged_after_what_it_learned_on_and_never_on_the_test_span(
    finished: Path,
) -> None:
    spans = {
        name: [path[1:] for path in market["paths"]]
        for name, market in json.loads((finished / "provenance.json").read_text())[
            "markets"
        ].items()
    }
    ends = {name: max(end for _, end in paths) for name, paths in spans.items()}
    starts = {name: min(start for start, _ in paths) for name, paths in spans.items()}
    assert pd.Timestamp(starts["fold0-validation"]) - pd.Timestamp(
        ends["fold0-train"]
    ) >= pd.Timedelta("14D")
    assert ends["fold0-validation"] <= ends["train"] < starts["test"]
    learned = agents.load(finished / "agents" / "fold0-candidate0-ppo-0").provenance.market
    assert (
        learned
        == json.loads((finished / "provenance.json").read_text())["markets"]["fold0-train"]["hash"]
    )


def test_the_verdict_is_the_mean_over_cash_rates_of_what_the_tidy_table_holds(
    finished: Path,
) -> None:
    tidy = pd.read_parquet(finished / "results.parquet")
    own = tidy[(tidy["agent"] == "carry") & (tidy["fold"] == -1) & (tidy["cost"] == 1.0)]
    line = next(
        line
        for line in (finished / "results.md").read_text().splitlines()
        if line.startswith("| carry |")
    )
    assert float(line.split("|")[3]) == pytest.approx(
        100 * own.groupby("symbol")["net_log_growth"].mean().mean(), abs=0.006
    )
    assert (finished / "results.png").read_bytes()[:4] == b"\x89PNG"


def test_every_agent_meets_every_shock_on_every_symbol(finished: Path) -> None:
    shocked = pd.read_parquet(finished / "stress.parquet")
    runs = {(rule, 0) for rule in (*RULES, "ppo_ensemble")} | {
        (learner, seed) for learner in ("ppo", "sac") for seed in (0, 1)
    }
    met = shocked[["agent", "seed", "shock", "symbol"]].drop_duplicates()
    assert set(met.itertuples(index=False, name=None)) == {
        (*each, shock, symbol)
        for each in runs
        for shock in SHOCKS
        for symbol in ("AAAUSDT", "BBBUSDT")
    }
    text = (finished / "results.md").read_text()
    assert "## Under stress" in text
    assert (finished / "stress.png").read_bytes()[:4] == b"\x89PNG"
    page = (finished / "report.html").read_text()
    assert "<h2>Shocks</h2>" in page
    assert ">fold 1<" in page
    assert 'id="stress"' in page


def test_parts_of_every_row_add_up_to_growth_plus_the_cash_rate(finished: Path) -> None:
    for r in rows_of(finished):
        assert sum(r[part] for part in PARTS) - 0.045 == pytest.approx(
            r["net_log_growth"], abs=1e-9
        )


def test_curves_hold_every_step_and_agree_with_the_rows(finished: Path) -> None:
    frame = pd.read_parquet(finished / "rollouts" / "test" / "carry-0.parquet")
    rows = {
        r["symbol"]: r for r in rows_of(finished) if r["agent"] == "carry" and r["split"] == "test"
    }
    for symbol, steps in frame.groupby("symbol"):
        assert steps["step"].tolist() == list(range(len(steps)))
        assert steps["time"].diff().dropna().unique().tolist() == [pd.Timedelta("8h")]
        years = (len(steps) - 1) * 8 / 8760
        assert steps["reward"].sum() / 1000 / years == pytest.approx(
            rows[str(symbol)]["net_log_growth"], abs=1e-6
        )


def test_rules_and_learners_write_the_same_tags(finished: Path) -> None:
    def tags(folder: Path) -> set[str]:
        events = EventAccumulator(str(folder))
        events.Reload()
        return set(events.Tags()["scalars"])

    test = finished / "tensorboard" / "test"
    rule, learner = tags(test / "zscore-0"), tags(test / "ppo-1")
    final = {"Final/growth", "Final/deepest_fall", "Final/liquidations", "Final/turnover"}
    every = {*PART_TAGS.values(), *STATE_TAGS.values(), NET_GROWTH, REWARD, TURNOVER, LIQUIDATIONS}
    assert rule == learner == every | final | {"Return/equity"}
    learning = tags(finished / "tensorboard" / "learning" / "ppo-0")
    assert {f"{TRAINING}{tag}" for tag in every} <= learning
    assert not learning & rule  # environment steps and days never share an axis
    assert "Learner/train/entropy_loss" in learning
    runs = [path.parent for path in (finished / "tensorboard").rglob("*tfevents*")]
    judged = {path.name for path in runs if path.parent.name == "test"}
    assert len(judged) == 8  # one for each agent and seed


def test_the_report_names_market_and_agents(finished: Path) -> None:
    text = (finished / "results.md").read_text()
    assert "| ppo |" in text
    assert "AAAUSDT, BBBUSDT, 2021-04-15 .. 2021-05-20" in text
    record = json.loads((finished / "provenance.json").read_text())
    assert (
        record["markets"]["train"]["hash"]
        == agents.load(finished / "agents" / "ppo-0").provenance.market
    )


def test_a_finished_run_is_shown_again_without_training(
    finished: Path, data: Path, capsys: Capture
) -> None:
    before = (finished / "agents" / "ppo-0" / "model.zip").stat().st_mtime_ns
    assert called(benchmark, *words(data, finished), "--steps", "512", "--resume") == 0
    assert (finished / "agents" / "ppo-0" / "model.zip").stat().st_mtime_ns == before
    again = (*words(data, finished), "--steps", "1024", "--resume")
    assert "was made with --steps 512, now 1024" in refused(capsys, benchmark, *again)


def test_trained_agents_are_evaluated_from_their_folder(finished: Path, data: Path) -> None:
    out = finished.parent / "again"
    chosen = (str(finished / "agents" / "ppo-1"), "carry", f"{finished}/agents/ppo-*")
    where = ("--data", str(data), *SPANS, "--out", str(out))
    assert called(evaluate, "--agents", *chosen, *where) == 0
    again = {(r["agent"], r["symbol"]): r["net_log_growth"] for r in rows_of(out)}
    first = [r for r in rows_of(finished) if r["split"] == "test"]
    for r in first:
        if (r["agent"], r["seed"]) in (("ppo", 1), ("carry", 0), ("ppo_ensemble", 0)):
            assert again[r["agent"], r["symbol"]] == pytest.approx(r["net_log_growth"], abs=1e-12)
