"""The measurement of sb3-contrib's learners: what a blurred policy sees, and that every learner
gets its line.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.core.run_folder import RunError
from experiments.studies import contrib

TABLE = [
    SimpleNamespace(name=name, scale=scale)
    for name, scale in (("other", 1.0), ("signal", 4.0), ("drawdown", 1.0))
]
PLAIN = contrib.Learner(kind="ppo", steps=1)


def test_noise_is_on_the_signal_alone_and_as_wide_as_said() -> None:
    obs = np.ones((20_000, 3), np.float32)
    seen = contrib.Blur(TABLE, replace(PLAIN, blurred=True), seed=0)(obs, np.ones(20_000, bool))
    assert (seen[:, [0, 2]] == 1).all()
    assert seen[:, 1].mean() == pytest.approx(1.0, abs=0.01)
    # in the unit of the signal
    assert 4.0 * seen[:, 1].std() == pytest.approx(contrib.BLUR, rel=0.03)
    np.testing.assert_array_equal(
        contrib.Blur(TABLE, PLAIN, seed=0)(obs, np.ones(20_000, bool)), obs
    )


def test_the_mean_is_exponential_and_begins_anew_with_an_episode() -> None:
    blur = contrib.Blur(TABLE, replace(PLAIN, mean=True), seed=0)
    signals, begun = (
        np.array([[1.0, 5.0], [2.0, 6.0], [4.0, 7.0]]),
        np.array([[True, True], [False, True], [False, False]]),
    )
    share, seen = 2.0 / (contrib.SPAN + 1.0), []
    for values, starts in zip(signals, begun, strict=True):
        obs = np.zeros((2, 3), np.float32)
        obs[:, 1] = values
        seen.append(blur(obs, starts)[:, 2])
    first = 1.0 + share * 1.0
    np.testing.assert_allclose(
        seen, [[1.0, 5.0], [first, 6.0], [first + share * (4.0 - first), 6.0 + share]], rtol=1e-6
    )


def test_a_learner_with_memory_and_one_with_a_replay_are_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("sb3_contrib")
    contrib.main(contrib.Args(learners=("recurrent-blurred", "crossq"), seeds=1, steps=512))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["recurrent-blurred", "512"],
        ["crossq", "512"],
    ]
    assert all(np.isfinite(float(line.split()[2])) for line in lines[1:])


def test_a_wrong_name_is_refused_whatever_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)  # an import of it fails
    with pytest.raises(RunError, match="--learners dqn: expected some of sac, tqc"):
        contrib.main(contrib.Args(learners=("dqn",)))
    with pytest.raises(RunError, match="needs sb3-contrib"):
        contrib.main(contrib.Args(learners=("tqc",)))
