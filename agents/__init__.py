"""Agents: anything that maps observations to actions. `make(name, **params)`, `names()`,
`load(folder)`.
"""

from agents.base import Agent, Learner
from agents.params import AgentError, Params, Range
from agents.reasons import Reason
from agents.registry import agent_class, load, make, names

__all__ = [
    "Agent",
    "AgentError",
    "Learner",
    "Params",
    "Range",
    "Reason",
    "agent_class",
    "load",
    "make",
    "names",
]
