"""The measurement of other people's loops has a row for each, set against what it names."""

from __future__ import annotations

import re

import pytest

from experiments.speed import clients


def test_every_loop_has_a_row_and_a_ratio_of_the_same_turn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = clients.Args(envs=(1, 2), workers=1, batch=64, repeats=3, seconds=0.0)
    clients.main(args)
    lines = capsys.readouterr().out.splitlines()
    rows = {line[:44].strip(): line[44:] for line in lines[3:]}
    assert len(rows) == 2 * 2 + 2 + 4 + 2
    for name, text in rows.items():
        median, low, high = map(float, text.split()[:3])
        assert 0 <= low <= median <= high
        found = re.search(r"(\S+) x \((\S+) \.\. (\S+)\) of: (.+)", text)
        assert (found is None) == (
            "Pendulum" in name or name in ("single, no info", "vector of 64")
        )
        if found:
            assert float(found[2]) <= float(found[1]) <= float(found[3])
            assert found[4] in rows


def test_a_ratio_is_of_one_turn() -> None:
    turns = [{"a": 2.0, "b": 1.0}, {"a": 30.0, "b": 10.0}, {"a": 1.0, "b": 4.0}]
    row = clients.Case("a", lambda: None, "b")
    assert clients.ratio(row, turns).split() == "2 x (0.25 .. 3) of: b".split()
