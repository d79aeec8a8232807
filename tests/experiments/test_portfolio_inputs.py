"""The study of forecasts as observations of a learner of one capital."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

pytest.importorskip("captum", reason="needs captum: pip install 'fundenv[forecast]'")

from experiments.studies import portfolio_inputs as study
from tests.markets import write_coins


def test_it_trains_with_and_without_forecasts_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    write_coins(folder, years=1.3, start="2020-01-01")
    args = study.Args(
        data=folder,
        symbols=("AAAUSDT", "BBBUSDT"),
        trained="2020-01:2020-12",
        judged="2021-01:2021-02",
        params=("n_envs=4", "n_steps=8", "episode_days=5", "crash_share=0", "hidden=8"),
        forecasters=("none", "no_change"),
        seeds=1,
        steps=64,
        subsets=2,
        cash_rates=(0.0,),
        out=tmp_path / "run",
    )
    study.main(args)
    said = capsys.readouterr().out
    assert said.count("what was learned is") == 2
    frame = pd.read_parquet(tmp_path / "run" / "results.parquet")
    assert len(frame) == 2 * (1 + 2 * 2)
    mean = frame.groupby("agent")["growth"].mean()
    assert mean.index.size == 5
    shown = said[said.index("growth above cash, % a year\n") :]
    for name, value in mean.items():
        line = next(each for each in shown.splitlines() if each.startswith(str(name)))
        assert f"{value:.2f}" in line
    inputs = said[said.index("shares of the inputs") :]
    row = next(each for each in inputs.splitlines() if each.startswith("forecast")).split()
    assert row[1] == "NaN"
    assert float(row[2]) >= 0
