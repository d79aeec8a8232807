"""The notebook of the tour is a valid one, and its cells run from the first to the last as a
newcomer would run them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOUR = json.loads((ROOT / "experiments" / "tour.ipynb").read_text(encoding="utf-8"))
# Shorter trainings than a newcomer's, in both places that train. The warm start, which the number
# of environments decides, takes most of the time.
SHORTER = (("20_000", "2_048"), ("n_envs=64", "n_envs=8"), ("batch_size=1024", "batch_size=256"))


def code() -> str:
    """All code cells, one after another, with shorter trainings."""
    text = "\n\n".join(
        "".join(cell["source"]) for cell in TOUR["cells"] if cell["cell_type"] == "code"
    )
    for said, shorter in SHORTER:
        assert text.count(said) == 2
        text = text.replace(said, shorter)
    return text


def test_the_notebook_is_one_and_carries_no_stale_output() -> None:
    assert (TOUR["nbformat"], TOUR["metadata"]["language_info"]["name"]) == (4, "python")
    assert len({cell["id"] for cell in TOUR["cells"]}) == len(TOUR["cells"])
    for cell in TOUR["cells"]:
        assert cell["cell_type"] in ("code", "markdown")
        assert not cell.get("outputs")


@pytest.mark.slow
def test_the_tour_ends_with_a_verdict(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + code()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=None,
    )
    assert done.returncode == 0, done.stderr
    assert "On the test span" in done.stdout
    assert "Beware:" in done.stdout
    assert "ppo: 1 seed: no statement" in done.stdout
