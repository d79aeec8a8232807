"""The study of the imitation: what it counts, and that its command runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.studies import portfolio_imitation as study
from tests.markets import write_coins


def test_it_tells_agreement_on_both_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coins(tmp_path, years=1.0, start="2021-01-01")
    study.main(
        study.Args(
            data=tmp_path,
            symbols=("AAAUSDT", "BBBUSDT"),
            trained="2021-02:2021-08",
            judged="2021-09:2021-10",
            samples=256,
            rounds=1,
            decisions=4,
            days=20,
            cash_rates=(0.0,),
        )
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "imitation, 0 added to stay"
    assert lines[-3] == "DAgger, round 1"
    paths = [line.split() for line in lines if line.startswith("  path")]
    assert len(paths) == 2 * (5 + 2)
    decisions = np.array([int(words[4]) for words in paths])
    orders = np.array([int(words[6]) for words in paths])
    assert (decisions == decisions[0]).all()
    assert decisions[0] > 100
    assert (orders <= decisions).all()
    # the rule's path does not depend on the policy
    assert len({tuple(words[-2:]) for words in paths[::2]}) == 1
