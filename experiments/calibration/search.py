"""Which settings of a rule are tried: all combinations of listed values, or proposals of Optuna
within ranges.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

import agents
from agents import AgentError
from experiments.core.run_folder import RunError

Values = dict[str, NDArray[Any]]

# The search spaces without --space; chosen before any result was seen, around the values that the
# literature uses.
SPACES: dict[str, tuple[str, ...]] = {
    "carry": ("leverage=1,1.5,2,3,4,5,6,8",),
    "ewma": (
        "span=3,6,9,21,45,90,180",
        "enter=-0.3,0,0.2,0.4,0.6,1,1.5",
        "exit=-2,-1.2,-0.6,-0.2,0,0.2",
        "leverage=2,3,4,5",
    ),
    "har": ("enter=-0.3,0,0.2,0.4,0.6,1,1.5", "exit=-2,-1.2,-0.6,-0.2,0,0.2", "leverage=2,3,4,5"),
    "reverse": ("span=3,9,21,90", "enter=0,0.3,0.6,1,2,4", "exit=-2,-1,-0.5,0", "leverage=2,3,4"),
    "dynamic_leverage": (
        "span=3:90:log",
        "enter=-0.3:1.5",
        "exit=-2:0.2",
        "gain=1:100:log",
        "liquidation=0.0001:0.1:log",
        "highest=2:8",
    ),
    "forecast": ("horizon=9,21,63", "hold=30,90,270,800", "leverage=2,3,4,5"),
    "forecast_leverage": (
        "horizon=9,21,63",
        "enter=-0.3,0,0.3,0.6",
        "exit=-1.2,-0.6,-0.2",
        "gain=1,3,10,30",
        "highest=3,5,8",
    ),
    "rotation": (
        "span=21,45,90,180",
        "enter=0,0.2,0.4,0.6",
        "exit=-0.6,-0.2,-0.05",
        "swap=0.4,0.8,1.2,2",
        "leverage=1,1.5,2,3",
        "band=0,0.3,0.5",
    ),
    "best_coin": (
        "span=21,45,90,180",
        "swap=0.4,0.8,1.2,2",
        "leverage=1,1.5,2,3",
        "band=0,0.3,0.5",
    ),
    "static_venue": ("span=21,45,90,180,400", "leverage=1,1.5,2,3"),
    "venue_spread": ("span=3,9,21,45,90,180", "swap=0,0.2,0.4,0.8,1.2,2", "leverage=1,1.5,2,3"),
    "venue_pair": (
        "span=3,9,21,45,90",
        "enter=0.2,0.5,1,1.5,2,3",
        "exit=-1,-0.5,0,0.2",
        "leverage=1,2,3,5",
    ),
    "equal_weight": ("leverage=1,1.5,2,3,5", "band=0,0.05,0.1,0.2,0.3,0.5,0.8"),
    "margin_carry": (
        "span=45,90,180,270,400",
        "enter=0,0.1,0.2,0.4",
        "exit=-0.6,-0.4,-0.2,-0.05",
        "swap=0.4,0.8,1.2,2",
        "borrow=0.05,0.2,0.4,0.7",
        "repay=-0.4,-0.2,0,0.2",
        "own=0.95,1",
        "highest=1,1.2,1.5,2,2.5",
        "distance=15,25,40",
        "near=4,8,12",
        "low=0.3,0.5,0.7",
        "coins=1,2,3",
    ),
    "volatility_bands": (
        "distance=10,15,25,40",
        "near=4,8,12",
        "far=40,60,100",
        "highest=0.95,1.2,1.5,2",
    ),
    "allocation": ("span=9,21,45", "persistence=0.98,0.99,0.995", "leverage=1,2"),
    "zscore_basket": (
        "window=90,180",
        "entry=1.5,2,2.5",
        "exit=-1,0,0.5",
        "most=0.34,0.5,1",
        "apart=0.6,0.8,1",
        "leverage=1,2,3",
    ),
    "zscore": (
        "window=30,60,90,180",
        "entry=1.5,2,2.5,3",
        "exit=-1,0,0.5",
        "two_sided=false,true",
        "invalidation=false,true",
        "rsi=0,75",
        "stop=0,0.01",
        "leverage=2,4",
    ),
}


@dataclass(frozen=True)
class Dimension:
    """One parameter of the search: a list of values, or a range."""

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False


def dimensions(rule: str, texts: Sequence[str]) -> list[Dimension]:
    """The search space from texts NAME=V1,V2,.. or NAME=LOW:HIGH[:log]; without texts the rule's
    own. `RunError` names a text that cannot be read.
    """
    if not texts and rule not in SPACES:
        raise RunError(
            f"rule {rule} has no search space of its own; give one: --space {rule}.NAME=V1,V2,.."
            f" (`fundenv info {rule}` lists the names)"
        )
    found = [_dimension(rule, text) for text in texts or SPACES[rule]]
    if len({dimension.name for dimension in found}) < len(found):
        raise RunError(
            f"--space names a parameter twice: {', '.join(dimension.name for dimension in found)}"
        )
    return found


def _dimension(rule: str, text: str) -> Dimension:
    name, equals, body = text.partition("=")
    if not equals:
        raise RunError(f"--space {text}: expected NAME=V1,V2,.. or NAME=LOW:HIGH[:log]")
    kind = agents.agent_class(rule).parameters
    hints = typing.get_type_hints(kind, include_extras=True)
    if ":" not in body:
        try:
            values = tuple(json.loads(f"[{body}]"))
        except json.JSONDecodeError:
            raise RunError(
                f"--space {text}: {body!r} is no list of numbers or of true and false"
            ) from None
        for value in values:
            _check(rule, name, value)
        return Dimension(name, values)
    edges = body.split(":")
    try:
        low, high = float(edges[0]), float(edges[1])
    except ValueError:
        raise RunError(f"--space {text}: expected NAME=LOW:HIGH[:log] with two numbers") from None
    log, whole = edges[2:] == ["log"], typing.get_args(hints.get(name, Any))[:1] == (int,)
    if not low < high or edges[2:] not in ([], ["log"]) or (log and low <= 0):
        raise RunError(f"--space {text}: expected LOW < HIGH, and LOW > 0 with :log")
    for edge in (low, high):
        _check(rule, name, int(edge) if whole else edge)
    return Dimension(name, low=low, high=high, log=log, whole=whole)


def _check(rule: str, name: str, value: Any) -> None:
    """Raise `AgentError` where the rule has no such parameter or the value is outside its range;
    the order of two parameters is not checked.
    """
    kind = agents.agent_class(rule).parameters
    try:
        agents.make(rule, **{name: value})
    except AgentError as error:
        if not any(name in pair for pair in kind.below) or "(excluded)" not in str(error):
            raise


def grid(space: Sequence[Dimension]) -> Values:
    """Every combination of the listed values."""
    rows = list(product(*(dimension.values for dimension in space)))
    return {dimension.name: np.array([row[i] for row in rows]) for i, dimension in enumerate(space)}


def is_grid(space: Sequence[Dimension]) -> bool:
    """Whether every parameter has a list of values."""
    return all(dimension.values for dimension in space)


def in_order(rule: str, fixed: dict[str, Any], values: Values) -> NDArray[np.bool_]:
    """Which settings keep the order that the rule demands of its parameters (exit below entry)."""
    agent = agents.make(rule)
    good = np.ones(len(next(iter(values.values()))), dtype=bool)
    everything = agent.params.to_dict() | fixed | values
    for lower, upper in type(agent.params).below:
        good &= np.broadcast_to(np.less(everything[lower], everything[upper]), good.shape)
    return good


def check_order(rule: str, fixed: dict[str, Any], space: Sequence[Dimension]) -> None:
    """`RunError` where no setting of the space keeps the order that the rule demands of two
    parameters.
    """
    agent = agents.make(rule)
    single = agent.params.to_dict() | fixed
    lows = single | {d.name: min(d.values) if d.values else d.low for d in space}
    highs = single | {d.name: max(d.values) if d.values else d.high for d in space}
    for lower, upper in type(agent.params).below:
        if lows[lower] >= highs[upper]:
            raise RunError(
                f"in the space of {rule}, {lower} lies nowhere below {upper} ({lows[lower]:g}"
                f" against {highs[upper]:g}); choose other values"
            )


class Proposals:
    """Optuna's tree-structured Parzen estimator, which proposes whole rounds of settings and gets
    their scores.
    """

    def __init__(self, space: Sequence[Dimension], seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna = optuna
        self._space = list(space)
        self._range = {d.name: self._distribution(d) for d in space}
        self._study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True),
        )

    def _distribution(self, d: Dimension) -> Any:
        kinds = self._optuna.distributions
        if d.values:
            return kinds.CategoricalDistribution(d.values)
        if d.whole:
            return kinds.IntDistribution(int(d.low), int(d.high), log=d.log)
        return kinds.FloatDistribution(d.low, d.high, log=d.log)

    def ask(self, count: int) -> tuple[list[Any], Values]:
        """New trials, whose scores `tell` expects, and their settings."""
        trials = [self._study.ask(self._range) for _ in range(count)]
        return trials, {
            name: np.array([trial.params[name] for trial in trials]) for name in self._range
        }

    def tell(self, trials: Sequence[Any], scores: Sequence[float | None]) -> None:
        """Report the scores of the trials; None for an invalid setting."""
        for trial, score in zip(trials, scores, strict=True):
            if score is None:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, score)

    def recall(self, values: Values, scores: Sequence[float]) -> None:
        """Add the results of an earlier, interrupted search."""
        for i, score in enumerate(scores):
            params = {name: array[i].item() for name, array in values.items()}
            self._study.add_trial(
                self._optuna.trial.create_trial(
                    params=params, distributions=self._range, value=score
                )
            )
