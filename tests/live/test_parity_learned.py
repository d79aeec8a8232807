"""Agents that learn, and those made of others: their paper accounts are those of the backtest."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import agents
from agents.sb3.ensemble import joined
from experiments.live.mock_world import world_of
from fundenv.market import build_market, joint, stack
from tests.live.parity import DAY, assert_equal
from tests.live.world import START, coins, paper, recorded, walk

SAVED = Path(__file__).parents[1] / "agents" / "saved_before_the_move.zip"
BOTH = ("BTCUSDT", "ETHUSDT")
TINY = {"n_envs": 4, "n_steps": 32, "batch_size": 32, "hidden": 8, "imitate": 0}


def ensemble(folder: Path) -> Any:
    return joined([folder / "ppo", folder / "ppo"])


def overlay(folder: Path) -> Any:
    return agents.make("overlay", base="ewma", rule="carry")


def threshold(folder: Path) -> Any:
    made: Any = agents.make("threshold")
    made.learn(stack([build_market([c]) for c in coins(BOTH).values()]), {}, steps=1, seed=0)
    return made


def portfolio(folder: Path) -> Any:
    made: Any = agents.make("choice_ppo", **TINY)
    market = joint(build_market(list(coins(BOTH).values())), BOTH)
    made.learn(market, {"margin_mode": "portfolio"}, steps=128, seed=0)
    return made


@pytest.mark.parametrize(
    ("make", "shared", "env"),
    [
        (ensemble, False, {}),
        (overlay, False, {}),
        (threshold, False, {}),
        (portfolio, True, {"margin_mode": "portfolio"}),
    ],
    ids=["ensemble", "overlay", "threshold", "choice_ppo"],
)
def test_an_agent_that_learned_has_the_account_of_its_backtest(
    tmp_path: Path, make: Callable[[Path], Any], shared: bool, env: dict[str, Any]
) -> None:
    with zipfile.ZipFile(SAVED) as packed:
        packed.extractall(tmp_path)
    made = make(tmp_path)
    world = world_of({}, START)
    feed = recorded(coins(BOTH), world)
    own = paper(tmp_path / "paper", feed, agent=made, shared=shared, env=env)
    walk(own, world, START + 4 * DAY, hours=50)
    assert any(record["wanted"] for record in own.account.decisions)
    assert_equal(own, made, shared)
    own.close()
