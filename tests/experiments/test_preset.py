"""A preset file is checked as all settings are: in one line with file, name, value and limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import AgentError
from experiments.core.preset import FOLDER, Candidate, read_preset
from experiments.core.run_folder import RunError


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_preset_of_the_package_is_read(path: Path) -> None:
    preset = read_preset(path.stem)
    assert preset.seeds >= 1
    assert all(preset.candidates.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds = 0", "seeds = 0 is outside 1 .. 100000; set it within"),
        ("folds = -1", "folds = -1 is outside 0 .. 1000; set it within"),
        ("fold_seeds = 1.5", "fold_seeds = 1.5: expected whole number in 1 .. 100000"),
        ("seed = 3", "unknown setting 'seed'; did you mean seeds"),
        ("[ppo]\nentropy = 0.1", "[ppo] has no steps; add the length of a training"),
        ("[ppo]\nsteps = 0", "[ppo] steps = 0 is outside 1 .."),
        ("[ppo]\nsteps = true", "[ppo] steps = True: expected whole number in 1 .."),
        ("[ppo]\nsteps = 9\nentrop = 1", "agent ppo has no parameter 'entrop'; did you mean"),
        ("[zscore]\nentry = 30", "agent zscore: entry = 30 is outside 0 .. 20; set it within"),
        ("seeds = ", "is no TOML"),
    ],
)
def test_a_wrong_preset_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises((AgentError, RunError)) as error:
        read_preset(str(path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_preset_with_former_names_is_read_under_the_present_ones(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[ppo]\nsteps = 10\nrehearse = 2\nrehearse_rate = 0.01\n")
    (found,) = read_preset(str(path)).candidates["ppo"]
    assert found.params == {"counterfactual_rounds": 2, "counterfactual_rate": 0.01}
    assert found.label == "10 steps counterfactual_rounds=2 counterfactual_rate=0.01"


def test_a_preset_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "seeds = 2\n[[ppo]]\nsteps = 10\n[[ppo]]\nsteps = 20\nentropy = 0.1\n[zscore]\nentry = 2\n"
    )
    preset = read_preset(str(path))
    assert (preset.seeds, preset.folds, preset.fold_seeds) == (2, 0, 1)
    assert preset.candidates["ppo"][1] == Candidate(agent="ppo", steps=20, params={"entropy": 0.1})
    assert preset.rules == {"zscore": {"entry": 2}}
