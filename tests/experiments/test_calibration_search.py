"""Calibration: the sweep agrees with rollouts of single rules, folds use the past alone, and the
search tries the settings of its space.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import agents
from agents import AgentError
from experiments.analysis.walk_forward import deepest, folds, scores, walk_forward, yearly
from experiments.calibration import parameter_file as calibrated
from experiments.calibration.draws import drawn, size
from experiments.calibration.search import Proposals, dimensions, grid, in_order
from experiments.core.run_folder import RunError
from experiments.rollout.make import roll_out
from experiments.rollout.sweep import sweep
from fundenv.market import Market, synthetic_market


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.5, paths=2, seed=4)


def test_a_sweep_agrees_with_walks_of_single_rules(market: Market) -> None:
    values = {"span": np.array([3.0, 30.0]), "leverage": np.array([2.0, 5.0])}
    found = sweep("ewma", {"enter": 0.2}, values, market, {})
    assert found is not None
    assert found.growth.shape[:2] == (2, len(found.symbols))
    for k in range(2):
        for s, item in enumerate(
            roll_out(
                agents.make(
                    "ewma", enter=0.2, span=values["span"][k], leverage=values["leverage"][k]
                ),
                market,
                {},
            )
        ):
            years = len(item.time) * 8 / 8760
            assert item.symbol == found.symbols[s]
            assert found.growth[k, s].sum() / years == pytest.approx(
                item.metrics().net_log_growth, abs=1e-7
            )
            assert found.turnover[k, s] * found.years == pytest.approx(
                (item.turnover / item.equity[:-1]).sum()
            )
            # the walk starts at midnight, three steps a day
            daily = np.diff(np.log(item.equity[::3])) - 0.045 / 365
            assert found.growth[k, s, : len(daily)] == pytest.approx(daily, abs=1e-8)


def test_growth_and_drawdown_by_hand() -> None:
    day = 0.01
    # 2 settings, 2 symbols, 3 days
    growth = np.array(
        [[[day, -3 * day, day], [0.0, 0.0, 0.0]], [[-day, day, day], [0.0, 0.0, 0.0]]], np.float32
    )
    assert yearly(growth) == pytest.approx([-day / 6 * 365, day / 6 * 365])
    assert deepest(growth, 0.0) == pytest.approx([1 - np.exp(-0.03), 1 - np.exp(-0.01)], rel=1e-5)
    # equity earns the cash rate on top
    assert deepest(growth, 0.365)[0] == pytest.approx(1 - np.exp(-0.03 + 0.001), rel=1e-5)
    assert scores(growth, 0.0, 0.02).tolist() == [-np.inf, pytest.approx(day / 6 * 365)]


def test_folds_expand_and_purge() -> None:
    parts = folds(1000, 4, 14)
    assert [(f.fit, f.start, f.end) for f in parts] == [
        (186, 200, 400),
        (386, 400, 600),
        (586, 600, 800),
        (786, 800, 1000),
    ]
    with pytest.raises(RunError, match="--folds 10: the first of them leaves"):
        folds(700, 10, 14)


def test_a_fold_chooses_by_what_lies_before_its_embargo() -> None:
    rng = np.random.default_rng(0)
    growth = (rng.standard_normal((30, 2, 1000)) * 1e-4).astype(np.float32)
    growth[3, :, :186] += 1e-3
    growth[8, :, 186:400] += 1.0  # brilliant within the embargo and afterwards
    out = walk_forward(growth, folds(1000, 4, 14)[:1], 8, cash_rate=0.0, limit=1.0)
    assert out.chosen == [3]
    assert out.judged == pytest.approx(yearly(growth[:, :, 200:400])[3:4])
    assert out.final == pytest.approx(yearly(growth[:, :, 200:400])[8:9])


def test_spaces() -> None:
    space = dimensions("ewma", ["enter=0,0.5", "exit=-0.5,0.2,0.7", "leverage=3"])
    values = grid(space)
    assert len(values["enter"]) == 6
    assert in_order("ewma", {}, values).sum() == 3  # exit below enter
    assert in_order("ewma", {"enter": 1.0}, {"exit": np.array([0.9, 1.1])}).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spam=3", r"agent ewma has no parameter 'spam'; did you mean span\?"),
        ("span=0,3", r"agent ewma: span = 0 is outside 1 \.\. 2000; set it within"),
        ("span=3:9000", r"agent ewma: span = 9000.0 is outside 1 \.\. 2000"),
        ("span=9:3", r"--space span=9:3: expected LOW < HIGH"),
        ("span=1:3:lag", r"--space span=1:3:lag: expected LOW < HIGH"),
        ("span=a:b", r"--space span=a:b: expected NAME=LOW:HIGH"),
        ("span=x", r"--space span=x: 'x' is no list of numbers"),
        ("span", r"--space span: expected NAME=V1,V2"),
    ],
)
def test_wrong_spaces_are_named(text: str, said: str) -> None:
    with pytest.raises((AgentError, RunError), match=said):
        dimensions("ewma", [text])


def test_optuna_finds_a_peak() -> None:
    search = Proposals(dimensions("ewma", ["span=1:1000:log", "enter=-3:3"]), seed=0)
    best = -np.inf
    for _ in range(15):
        trials, values = search.ask(20)
        found = -((np.log10(values["span"]) - 2) ** 2) - (values["enter"] - 1) ** 2
        search.tell(trials, found.tolist())
        best = max(best, float(found.max()))
    assert best > -0.01


def test_calibrated_parameters_survive_the_file(tmp_path: Path) -> None:
    tables = {
        "zscore": agents.make("zscore", entry=2, two_sided=True).params.to_dict(),
        "carry": {"leverage": 2.5},
    }
    calibrated.write(tmp_path / "calibrated.toml", tables, {"zscore": ["best of 3"], "carry": []})
    assert calibrated.read(tmp_path / "calibrated.toml") == tables
    (tmp_path / "wrong.toml").write_text("[zscore]\nentry = 30\n")
    with pytest.raises(AgentError, match=r"agent zscore: entry = 30 is outside 0 \.\. 20"):
        calibrated.read(tmp_path / "wrong.toml")
    with pytest.raises(RunError, match=r"no file .*none.toml; write one with"):
        calibrated.read(tmp_path / "none.toml")


def test_a_grid_is_tried_whole_or_drawn_without_repetition() -> None:
    space = dimensions("rotation", [])
    whole = drawn(space, "rotation", {}, 5000, 0)
    assert len(whole["span"]) == size(space) == 2304
    for rule, most in (("rotation", 50), ("margin_carry", 40)):
        space = dimensions(rule, [])
        some, again, other = (drawn(space, rule, {}, most, seed) for seed in (0, 0, 1))
        rows = np.column_stack(list(some.values()))
        assert len(np.unique(rows, axis=0)) == len(rows) == most
        assert in_order(rule, {}, some).all()
        assert np.array_equal(rows, np.column_stack(list(again.values())))
        assert not np.array_equal(rows, np.column_stack(list(other.values())))
    with pytest.raises(RunError, match="no combination of the values of ewma keeps the order"):
        drawn(dimensions("ewma", ["enter=0,1", "exit=2,3"]), "ewma", {}, 5, 0)
