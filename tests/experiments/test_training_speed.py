"""The measurement of training steps counts what it says."""

from __future__ import annotations

import pytest

from experiments.core.run_folder import RunError
from experiments.speed import training_speed
from fundenv.market import synthetic_market


def test_every_learner_has_a_line_and_learning_is_a_part_of_the_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    training_speed.main(training_speed.Args(envs=8, steps=1024, repeats=1))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("CPU time of one thread, 8 environments, 1,024 steps, 1 trainings")
    assert [line.split()[0] for line in lines[2:]] == ["ppo", "device_ppo", "sac", "device_sac"]
    for line in lines[2:]:
        speed, whole, learning = (float(line.replace(",", "").split()[k]) for k in (1, 2, 6))
        assert 0 < learning < whole
        assert speed == pytest.approx(1e6 / whole, rel=0.02)


def test_who_cannot_be_timed_is_named() -> None:
    with pytest.raises(RunError, match="--agents ewma: choose some of ppo"):
        training_speed.main(training_speed.Args(agents=("ewma",)))


def test_rounds_of_the_warm_start_are_timed_and_nothing_is_trained_after_them() -> None:
    market = synthetic_market("btc", years=0.5, paths=2, seed=0)
    spent = training_speed.rounds_timed(market, 2, n_envs=8, imitate=100, episode_days=10)
    assert len(spent) == 2
    assert min(spent) > 0
