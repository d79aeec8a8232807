"""What a critic that knows the future would explain: returns, fits and the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import agents
from experiments.core.run_folder import RunError
from experiments.studies import privileged


def test_returns_are_discounted_sums_and_those_across_an_end_are_left_out() -> None:
    rng = np.random.default_rng(0)
    rewards = rng.standard_normal((80, 3)).astype(np.float32)
    ended = np.zeros((80, 3), bool)
    ended[70, 1] = True
    kept, found = privileged.returns(rewards, ended, 0.9)
    assert found.shape == (80 - privileged.HORIZON, 3)
    assert found[5, 2] == pytest.approx((0.9 ** np.arange(64) * rewards[5:69, 2]).sum(), abs=1e-5)
    assert kept[:, [0, 2]].all()
    assert kept[:, 1].tolist() == [t + 64 <= 70 for t in range(16)]


def test_a_critic_explains_what_its_inputs_say_and_nothing_of_noise() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((200, 20, 3)).astype(np.float32)
    kept = np.ones((200, 20), bool)
    target = (np.sin(inputs[..., 0]) + inputs[..., 1]).astype(np.float32)
    assert privileged.explained(inputs, target, kept, seed=0) > 0.95
    assert privileged.explained(inputs[..., 2:], target, kept, seed=0) < 0.05


def test_the_table_has_a_line_for_either_reward(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = agents.make(
        "ppo", n_envs=8, n_steps=16, batch_size=64, hidden=8, imitate=0, counterfactual_rounds=0
    )
    agent.learn(privileged.Args(agent=tmp_path).markets()["train"], {}, steps=128, seed=0)  # type: ignore[attr-defined]
    agent.save(tmp_path)
    privileged.main(privileged.Args(agent=tmp_path, decisions=80))
    lines = [line.rsplit(maxsplit=3) for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [line[0].strip() for line in lines] == ["shaped", "as it is"]
    assert float(lines[0][1]) < float(lines[1][1])  # shaping takes most of the noise away
    assert all(float(value) <= 1 for line in lines for value in line[2:])


def test_other_agents_are_refused(tmp_path: Path) -> None:
    agents.make("ewma").save(tmp_path)
    with pytest.raises(RunError, match="expected a ppo trained with shaping, this is ewma"):
        privileged.main(privileged.Args(agent=tmp_path))
