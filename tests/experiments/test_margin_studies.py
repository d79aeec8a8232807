"""The studies of portfolio margin on generated coins."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tyro

from experiments.core.run_folder import RunError
from experiments.rollout.sweep import Sweep
from experiments.studies import margin, margin_growth, margin_selection, one_capital
from experiments.studies.margin_markets import yearly
from fundenv.optima import one_place
from tests.markets import write_coins

SYMBOLS = ("AAAUSDT", "BBBUSDT")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_coins(folder, SYMBOLS, years=1.0, start="2021-01-01")
    return folder


def test_the_table_has_both_capitals_and_a_range_of_starts(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(margin, "ROWS", (margin.ROWS[1], margin.ROWS[6], margin.ROWS[16]))
    words = ("--data", str(data), "--symbols", *SYMBOLS, "--spans", "2021-03:2021-06")
    margin.main(tyro.cli(margin.Args, args=(*words, "--starts", "2")))
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("portfolio, L 1, band 50 %"))
    here, low, _, high, liquidated, together, closed = row.split("%")[1].split()
    assert float(low) <= float(here) <= float(high)
    assert (liquidated, closed) == ("0", "0")
    assert -20 < float(together) < 40


def test_published_figures_stand_beside_ours() -> None:
    row = margin.ROWS[0]
    found = margin.Figures(
        single=2.5, low=2.0, high=3.0, liquidated=1, together=2.25, together_liquidated=0
    )
    assert margin.line(row, margin.RICH, found).split()[4:] == [
        "2.36",
        "2.50",
        "+0.14",
        *"2.00 .. 3.00 1 2.25 0".split(),
    ]


def test_pieces_are_half_years_of_every_account() -> None:
    growth = np.zeros((2, 3, 366), np.float32)
    growth[0, 1, :183] = 0.001
    growth[1, 2, 183:] = 0.002
    found = Sweep(
        symbols=("A", "B", "C"),
        days=np.arange(366).astype("datetime64[D]"),
        growth=growth,
        turnover=np.zeros((2, 3)),
        liquidations=np.zeros((2, 3)),
    )
    expected = np.zeros((2, 6))
    expected[0, 1], expected[1, 5] = 36.5, 73.0
    assert margin_selection.pieces(found) == pytest.approx(expected, rel=1e-5)
    assert yearly(found)[0] == pytest.approx([0.0, 36.5 / 2, 0.0], rel=1e-5)


def test_the_choice_by_growth_loses_nothing_where_funding_is_thin() -> None:
    """The best of the rich pieces was liquidated, the next loses in the thin ones."""
    rich = np.array([[9.0, 9.0], [8.0, 4.0], [5.0, 4.0], [1.0, 1.0]])
    thin = np.array([[1.0, 1.0], [0.5, -0.6], [0.5, -0.4], [2.0, 2.0]])
    liquidated = np.array([True, False, False, False])
    assert margin_growth.choose(rich, thin, liquidated) == 2
    assert margin_growth.choose(rich, thin - 3.0, liquidated) == 3
    with pytest.raises(RunError, match="every setting was liquidated"):
        margin_growth.choose(rich, thin, np.ones(4, bool))


def test_the_selection_by_growth_runs_and_does_not_see_the_judged_span(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(data), "--symbols", *SYMBOLS, "--rule", "rotation", "--subsets", "1"]
    words += ["--spans", "2021-03:2021-07", "--rich", "0.5", "--cash-rates", "0.02"]
    words += ["--draws", "6", "--fixed", "span=21", "--out", str(tmp_path)]
    said = []
    for judged in ("2021-09:2021-10", "2021-10:2021-11"):
        margin_growth.main(tyro.cli(margin_growth.Args, args=[*words, "--judged", judged]))
        said.append([x for x in capsys.readouterr().out.splitlines() if x.startswith("chosen")])
    assert said[0] == said[1] != []
    assert "span 21" in said[0][0]
    assert "span = 21" in (tmp_path / "growth.toml").read_text()
    with pytest.raises(RunError, match=r"--rich has 2 factors for 1 --spans"):
        margin_growth.main(tyro.cli(margin_growth.Args, args=[*words, "--rich", "1", "2"]))


def test_every_piece_has_one_vote() -> None:
    """The first setting wins one piece by far, the second two by little."""
    growth = np.array([[100.0, 1.0, 1.0], [0.0, 2.0, 2.0], [-1.0, 0.0, 2.0]])
    assert margin_selection.ranks(growth) == pytest.approx([1.5 / 3, 2.25 / 3, 0.75 / 3])


def test_the_selection_never_sees_the_judged_span(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(data), "--symbols", *SYMBOLS, "--rule", "equal_weight", "--subsets", "1"]
    words += ["--spans", "2021-03:2021-07", "--scales", "1", "--cash-rates", "0.02"]
    said = []
    for judged in ("2021-09:2021-10", "2021-10:2021-11"):
        margin_selection.main(
            tyro.cli(
                margin_selection.Args, args=[*words, "--judged", judged, "--out", str(tmp_path)]
            )
        )
        said.append([x for x in capsys.readouterr().out.splitlines() if x.startswith("chosen")])
    assert said[0] == said[1]
    assert "[equal_weight]" in (tmp_path / "both.toml").read_text()
    with pytest.raises(RunError, match="--rule dynamic_leverage: its space has ranges"):
        margin_selection.main(
            tyro.cli(
                margin_selection.Args, args=["--data", str(data), "--rule", "dynamic_leverage"]
            )
        )


def test_the_schedule_is_the_best_of_all() -> None:
    """Against every path of two coins over five decisions."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        numbers = rng.normal(0, 0.01, (2, 5, 2))
        account = one_place.Paper(*numbers, *np.abs(rng.normal(0, 0.004, (2, 5, 2))))
        paths = [np.array(path) for path in product((-1, 0, 1), repeat=5)]
        best = max(one_place.earned(account, path, 0.001, 0.75) for path in paths)
        found = one_place.earned(account, one_place.schedule(account, 0.001, 0.75), 0.001, 0.75)
        assert found == pytest.approx(best, abs=1e-12)
        sold = {"closed": True}
        best = max(one_place.earned(account, path, 0.001, 0.75, **sold) for path in paths)
        path = one_place.schedule(account, 0.001, 0.75, **sold)
        assert one_place.earned(account, path, 0.001, 0.75, **sold) == pytest.approx(
            best, abs=1e-12
        )


def test_paper_by_hand() -> None:
    """Enters coin 0, changes to coin 1 and leaves: 0.75 of the equity each time."""
    ones = np.ones((3, 2))
    account = one_place.Paper(0.01 * ones, 0.1 * ones, 0.002 * ones, 0.003 * ones)
    found = one_place.earned(account, np.array([0, 1, -1]), 0.05, 0.75)
    assert found == pytest.approx(0.75 * (0.2 + 0.02 - 2 * 0.002 - 2 * 0.003) - 2 * 0.05)
    held = one_place.earned(account, np.array([0, 1, 1]), 0.05, 0.75)
    sold = one_place.earned(account, np.array([0, 1, 1]), 0.05, 0.75, closed=True)
    assert held - sold == pytest.approx(0.75 * 0.003)


def test_the_lines_of_one_capital(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--data", str(data), "--symbols", *SYMBOLS, "--span", "2021-03:2021-05")
    rest = ("--cash-rates", "0", "--no-portfolio")
    one_capital.main(tyro.cli(one_capital.Args, args=(*words, *rest)))
    lines = capsys.readouterr().out.splitlines()
    means = {x.split("  ")[0]: float(x[62:70]) for x in lines[2:] if not x.startswith("  ")}
    for line in ("paper", "and nothing sold at the end", "and the basis"):
        assert means[f"clairvoyant, {line}"] >= means[f"rotation, {line}"]
    played = means["rotation, in the environment, isolated, L 3"]
    assert played == pytest.approx(means["rotation, and the venue's fees and spreads"], abs=5.0)
