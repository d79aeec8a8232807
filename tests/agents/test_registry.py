"""Agents are found by name or by place, and wrong names or parameters say so in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import agents
from agents import AgentError, registry
from agents.rules.carry import Carry
from agents.rules.flat import Flat
from agents.rules.zscore import ZScoreParams
from tests.agents.refused import refused_in_one_line


class Lazy(Carry):
    """A user's own agent."""

    name = "lazy"


def test_every_agent_of_the_folder_is_found() -> None:
    assert {"flat", "carry", "zscore", "random", "ppo", "sac"} <= set(agents.names())


def test_parameters_reach_the_agent() -> None:
    assert agents.make("zscore", entry=2, exit=0.25).params == ZScoreParams(entry=2, exit=0.25)


def test_lists_from_json_become_tuples() -> None:
    assert agents.make("ppo", leverage_grid=[2, 3]).params.leverage_grid == (2, 3)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        (":", {}, r"agent ':' is no place; write package.module:Class"),
        (".mine:Agent", {}, r"agent '.mine:Agent' is no place; write package.module:Class"),
        ("zscor", {}, r"unknown agent 'zscor'; did you mean zscore\?"),
        (
            "zscore",
            {"entrance": 2},
            r"agent zscore has no parameter 'entrance'; did you mean entry\?",
        ),
        ("flat", {"leverage": 2}, r"agent flat has no parameter 'leverage'; it has none"),
        ("zscore", {"entry": 30}, r"agent zscore: entry = 30 is outside 0 \.\. 20; set it within"),
        (
            "zscore",
            {"entry": 1.0, "exit": 1.5},
            r"agent zscore: exit = 1.5 is outside -20 \.\. entry = 1.0",
        ),
        ("zscore", {"entry": "2"}, r"agent zscore: entry = '2': expected number in 0 \.\. 20"),
        ("zscore", {"two_sided": 1}, r"agent zscore: two_sided = 1 is neither true nor false"),
        ("carry", {"leverage": float("nan")}, r"agent carry: leverage = nan is outside 1 \.\. 125"),
        ("ppo", {"epochs": 2.5}, r"agent ppo: epochs = 2.5: expected whole number in 1 \.\. 100"),
        (
            "ppo",
            {"leverage_grid": [0.5, 2]},
            r"agent ppo: leverage_grid = \(0.5, 2\) is outside 1 \.\. 125",
        ),
        ("ppo", {"carry_grid": []}, r"agent ppo: carry_grid is empty"),
        ("ppo", {"reward": "sharpe"}, r"agent ppo: reward = 'sharpe' is not one of"),
        (
            "sac",
            {"leverage_grid": [3.0, 2.0]},
            r"agent sac: leverage_grid = \(3.0, 2.0\) does not rise; sort it",
        ),
    ],
)
def test_wrong_names_and_values_are_named(name: str, params: dict[str, object], said: str) -> None:
    refused_in_one_line(name, params, said)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Declares an entry point (name, class) as a user's package does."""

    def declare(name: str, place: str) -> None:
        point = EntryPoint(name, place, registry.GROUP)
        monkeypatch.setattr(registry, "entry_points", lambda group: [point])
        registry.table.cache_clear()
        registry.agent_class.cache_clear()

    yield declare
    registry.table.cache_clear()
    registry.agent_class.cache_clear()


def test_two_agents_of_one_name_are_refused(installed: Callable[[str, str], None]) -> None:
    installed("flat", "agents.rules.carry:Carry")
    with pytest.raises(AgentError, match="two agents are called 'flat'"):
        agents.names()


def test_an_agent_of_an_installed_package_goes_by_its_name(
    installed: Callable[[str, str], None],
) -> None:
    installed("lazy", "agents.rules.flat:Flat")
    assert "lazy" in agents.names()
    assert isinstance(agents.make("lazy"), Flat)


def test_an_agent_of_the_user_goes_by_its_place_and_is_saved_and_loaded(tmp_path: Path) -> None:
    agent = agents.make(f"{__name__}:Lazy", leverage=2)
    agent.save(tmp_path)
    again = agents.load(tmp_path)
    assert (type(again), again.params) == (Lazy, agent.params)
    assert agent.name == again.name == f"{__name__}:Lazy"  # rows of results carry this name


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("no_such_package.module:Class", "no module 'no_such_package'; install it"),
        ("agents.rules.flat:Nothing", "module agents.rules.flat has no 'Nothing'"),
        ("agents.params:Range", "is no subclass of agents.Agent"),
        ("flaat", "did you mean flat"),
    ],
)
def test_a_wrong_place_is_one_line(place: str, said: str) -> None:
    with pytest.raises(AgentError, match=said) as error:
        agents.make(place)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["ppo", "sac", "device_ppo"])
def test_a_missing_library_is_named_before_a_training_begins(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    agent: Any = agents.make(name)
    with pytest.raises(
        AgentError,
        match=r"need stable-baselines3 \(.*\); install it with: pip install 'fundenv\[sb3\]'",
    ):
        agent.require()
