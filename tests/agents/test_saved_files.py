"""The files of a saved agent: old ones load, and a save that fails leaves the one before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents import AgentError, Learner
from agents.checkpoint import CHECKPOINT, fingerprint
from agents.params import FORMER
from fundenv.batch.cpu import Batch
from fundenv.dynamics.types import Params
from fundenv.market import Market, synthetic_market
from tests.agents.old_files import saved


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def values_of(agent: Any, obs: Any) -> Any:
    """Logits of PPO, values of SAC."""
    with torch.no_grad():
        if hasattr(agent, "heads"):
            return torch.cat(agent.heads(obs), dim=1).numpy()
        return agent.model.q_net(torch.as_tensor(obs)).numpy()


@pytest.mark.parametrize("name", ["ppo", "ppo_with_a_rule", "sac_under_way"])
def test_an_agent_saved_before_the_modules_moved_acts_as_it_did(
    name: str, old: Path, market: Market
) -> None:
    agent = agents.load(old / name)
    batch = Batch(8, market=market, **agent.env_settings())
    agent.bind(batch)
    shape = (8, len(batch.observation_table))
    obs = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    expected = json.loads((old / name / "expected.json").read_text())
    np.testing.assert_allclose(agent.act(obs), expected["actions"], atol=1e-6)
    agent.reset()
    np.testing.assert_allclose(values_of(agent, obs), expected["values"], atol=2e-5)


def test_a_training_begun_before_the_modules_moved_goes_on(
    old: Path, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agents.load(old / "sac_under_way")
    assert isinstance(agent, Learner)
    assert agent.steps_done == 92
    given, restore = [], Batch.restore
    monkeypatch.setattr(Batch, "restore", lambda b, state: given.append(state) or restore(b, state))
    agent.learn(market, {"cash_rate": 0.02}, steps=200, seed=0)
    # in the env in which it began, which lent coins without limit
    assert (given[0]["params"][:, Params._fields.index("base_supply")] == 0.0).all()
    agent.save(old / "sac_under_way")
    left = {path.name for path in (old / "sac_under_way").iterdir()}
    assert left == {CHECKPOINT, "model.zip", "expected.json"}  # no stale snapshot, no stale replay
    assert agents.load(old / "sac_under_way").steps_done == 200  # type: ignore[attr-defined]


def test_former_names_of_parameters_are_read_and_written_under_the_present_ones(
    old: Path,
) -> None:
    before = json.loads((old / "ppo" / CHECKPOINT).read_text())["params"]
    agent = agents.load(old / "ppo")
    agent.save(old / "new")
    after = json.loads((old / "new" / CHECKPOINT).read_text())["params"]
    assert set(FORMER) <= set(before)
    assert after == {FORMER.get(name, name): value for name, value in before.items()}
    with pytest.raises(AgentError, match="rehearse and counterfactual_rounds are one parameter"):
        agents.make("ppo", rehearse=1, counterfactual_rounds=2)
    with pytest.raises(AgentError, match="agent sac has no parameter 'rehearse'"):
        agents.make("sac", rehearse=1)


class Fails:
    """Stands in for a disk that is full: the file is begun, and then no more bytes fit."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def __call__(self, folder: Path) -> None:
        (folder / "model.zip").write_bytes(b"half")
        raise OSError(28, "No space left on device")


def test_a_save_that_fails_keeps_the_one_before(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(old)
    kept = fingerprint(folder)
    agent = agents.load(folder)
    monkeypatch.setattr(agent, "write", Fails(agent))
    with pytest.raises(AgentError, match=r"could not be saved in .*No space left.*before is kept"):
        agent.save(folder)
    assert fingerprint(folder) == kept
    assert {path.name for path in folder.iterdir()} == {CHECKPOINT, "model.zip"}
    assert agents.load(folder).name == "ppo"


# One process loads the libraries, and a child of it dies in each folder: at the first move, at the
# second ...
KILLED = """
import os, sys
from pathlib import Path
import agents
replace, moves = Path.replace, 0
def dies(self, target):
    global moves
    moves += 1
    if moves > last:
        os._exit(9)
    return replace(self, target)
agents.load(sys.argv[1])
for last, folder in enumerate(sys.argv[1:]):
    if os.fork() == 0:
        try:
            Path.replace = dies
            agent = agents.load(folder)
            agent.steps_done = 999
            agent.save(folder)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_process_that_dies_while_it_saves_leaves_one_whole_agent(old: Path) -> None:
    folders = [old / f"new{moves}" for moves in range(5)]
    for folder in folders:
        agents.load(old / "sac_under_way").save(folder)
    command = [sys.executable, "-c", KILLED, *map(str, folders)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["9"] * 5, done.stderr
    for moves, folder in enumerate(folders):
        found: Any = agents.load(folder)
        assert found.steps_done == (92 if moves == 0 else 999)
