"""A z-score rule in front of observations that a test makes up."""

from __future__ import annotations

from typing import Any

import agents
from agents import Reason
from tests.agents.by_hand import bound


def rule(**params: Any) -> Any:
    return bound(agents.make("zscore", **params))


def reasons(agent: Any) -> list[Reason]:
    return [Reason(code) for code in agent.reasons[:, 0]]
