"""Agents: anything that maps observations to actions. `make(name, **params)`, `names()`, `load(folder)`."""

from agents._reason import Reason
from agents.base import Agent, Learner, agent_class, load, make, names
from agents.params import AgentError, Params, Range

__all__ = ["Agent", "AgentError", "Learner", "Params", "Range", "Reason", "agent_class", "load", "make", "names"]
