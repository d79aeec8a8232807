"""Parameters of agents that are refused, in the tests."""

from __future__ import annotations

from typing import Any

import pytest

import agents
from agents import AgentError


def refused_in_one_line(name: str, params: dict[str, Any], said: str) -> None:
    """No agent `name` is made with `params`, and the one line that says why has `said` in it."""
    with pytest.raises(AgentError, match=said) as error:
        agents.make(name, **params)
    assert "\n" not in str(error.value)
