"""The registry: which class stands behind the name of an agent, and how a saved agent is loaded.

`AGENTS` holds import strings, so listing the names imports no agent. A user's own agent needs no
line here: give `package.module:Class` where a name is asked for, or declare an entry point in the
group `fundenv.agents` of your own package.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from agents.base import Agent, Provenance
from agents.checkpoint import read_record
from agents.params import AgentError, nearest

GROUP = "fundenv.agents"  # entry points of users' packages
AGENTS = {
    "allocation": "agents.rules.allocation:Allocation",
    "best_coin": "agents.rules.best_coin:BestCoin",
    "buy_and_hold": "agents.rules.buy_and_hold:BuyAndHold",
    "carry": "agents.rules.carry:Carry",
    "choice_ppo": "agents.sb3.portfolio.choice_ppo:ChoicePPO",
    "choice_sac": "agents.sb3.portfolio.choice_sac:ChoiceSAC",
    "clairvoyant": "agents.rules.clairvoyant:Clairvoyant",
    "device_ppo": "agents.sb3.device.ppo:DevicePPO",
    "device_sac": "agents.sb3.device.sac:DeviceSAC",
    "dynamic_leverage": "agents.rules.dynamic_leverage:DynamicLeverage",
    "equal_weight": "agents.rules.equal_weight:EqualWeight",
    "ewma": "agents.rules.ewma:Ewma",
    "flat": "agents.rules.flat:Flat",
    "forecast": "agents.rules.forecast:Forecast",
    "forecast_leverage": "agents.rules.forecast_leverage:ForecastLeverage",
    "har": "agents.rules.har:Har",
    "learned_margin": "agents.margin.agent:LearnedMargin",
    "margin_carry": "agents.rules.margin_carry:MarginCarry",
    "overlay": "agents.overlay:Overlay",
    "portfolio_clairvoyant": "agents.rules.portfolio_clairvoyant:PortfolioClairvoyant",
    "portfolio_ppo": "agents.sb3.portfolio.ppo:PortfolioPPO",
    "portfolio_sac": "agents.sb3.portfolio.sac:PortfolioSAC",
    "ppo": "agents.sb3.ppo:PPO",
    "ppo_ensemble": "agents.sb3.ensemble:PPOEnsemble",
    "random": "agents.rules.random:Random",
    "reverse": "agents.rules.reverse:Reverse",
    "rllib_ppo": "agents.rllib.ppo:RLlibPPO",
    "rllib_sac": "agents.rllib.sac:RLlibSAC",
    "rotation": "agents.rules.rotation:Rotation",
    "sac": "agents.sb3.sac:SAC",
    "sac_ensemble": "agents.sb3.ensemble:SACEnsemble",
    "static_venue": "agents.rules.venue_choice:StaticVenue",
    "threshold": "agents.rules.threshold:Threshold",
    "venue_clairvoyant": "agents.rules.venue_clairvoyant:VenueClairvoyant",
    "venue_pair": "agents.rules.venue_pair:VenuePair",
    "venue_spread": "agents.rules.venue_choice:VenueSpread",
    "volatility_bands": "agents.rules.volatility_bands:VolatilityBands",
    "zscore": "agents.rules.zscore:ZScore",
    "zscore_basket": "agents.rules.zscore_basket:ZScoreBasket",
}
# what the learners with counted choices were called before others took their names; an agent that
# was saved then has `levels`
_CHOICES = {"portfolio_ppo": "choice_ppo", "portfolio_sac": "choice_sac"}


@cache
def table() -> dict[str, str]:
    """Name -> import string of every agent: the project's and those of installed packages, sorted
    by name.

    Raises `AgentError` where an installed package takes a name that is taken.
    """
    found = dict(AGENTS)
    for point in entry_points(group=GROUP):
        if found.get(point.name, point.value) != point.value:
            raise AgentError(
                f"two agents are called {point.name!r}, {found[point.name]} and {point.value}; "
                "rename the entry point of the second"
            )
        found[point.name] = point.value
    return dict(sorted(found.items()))


def names() -> list[str]:
    """Names of all agents."""
    return list(table())


@cache
def agent_class(name: str) -> type[Agent]:
    """The class of an agent: by its name, or `package.module:Class` for one of your own.

    Raises `AgentError` for an unknown name, a module that cannot be imported or a class that is no
    agent.
    """
    place = table().get(name, name if ":" in name else None)
    if place is None:
        raise AgentError(
            f"unknown agent {name!r}; {nearest(name, names())}; your own: package.module:Class"
        )
    module, _, attribute = place.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise AgentError(f"agent {place!r} is no place; write package.module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # a library that the agent's file needs
        raise AgentError(
            f"agent {place}: no module {error.name!r}; install it, or run where Python finds it"
        ) from None
    except AttributeError:
        raise AgentError(f"agent {place}: module {module} has no {attribute!r}") from None
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise AgentError(f"agent {place} is no subclass of agents.Agent; derive it from that class")
    if "name" not in vars(found):
        found.name = name
    return found


def agent_classes() -> dict[str, type[Agent]]:
    """The class of every agent of `names`."""
    return {name: agent_class(name) for name in names()}


def make(name: str, **params: Any) -> Agent:
    """A new agent: `make("zscore", entry=2.0)`, `make("my_package.module:Class")`."""
    kind = agent_class(name)
    agent = kind(kind.parameters.from_dict(params, owner=name))
    if name != kind.name:  # a user's own agent: what asked for it finds its rows by that name
        agent.name = name  # type: ignore[misc]
    return agent


def load(folder: str | os.PathLike[str]) -> Agent:
    """The agent that `save` wrote into `folder`, with its weights.

    `agent.provenance` says in which env and on which market it was trained. Raises `AgentError`
    where a file is not the one that was saved. Load agents of people you trust: the class that the
    record names runs, and a saved learner is more than numbers.
    """
    record = read_record(Path(folder))
    if "levels" in record["params"] and record["agent"] in _CHOICES:
        record["agent"] = _CHOICES[record["agent"]]
    known = record["agent"] in table() or "class" not in record  # a name outlives a moved class
    agent = make(record["agent" if known else "class"], **record["params"])
    agent.provenance = Provenance(record["env"], record["market"], tuple(record["observations"]))
    agent.read(Path(folder), record)
    return agent
