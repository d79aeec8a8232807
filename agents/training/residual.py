"""Residual over a rule: the policy starts as a rule of this package and learns where to deviate
from it.

At every decision the agent first asks the rule. The rule's action (hold, off or a carry, and a
leverage) is appended to the observations, one column per logit, and adds a bias to its own logit.
So an untrained policy, taken greedily, is the rule. Where the network has learned that another
action is better, the logit of this action exceeds the bias. Rules have memory: in training it
follows the episodes of the environments; when the agent acts, `reset` starts new episodes.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from agents.base import Agent
from agents.params import AgentError, Params, Range, read_pairs
from agents.registry import agent_class, agent_classes, make
from agents.rules.of_batch import kept, put_back

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ResidualParams(Params):
    """The rule that PPO starts from."""

    residual: str = ""
    """Rule that the policy starts from, with its parameters: "ewma span=90 enter=0.2"; empty: no
    rule.
    """
    residual_bias: Annotated[float, Range(0, 20, "logit")] = 6.0
    """Bias on the logit of the rule's action, in place of `hold_bias` and `leverage_bias`; at 6 a
    sampled gate differs from the rule once in 200 decisions.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.residual == "":
            return
        p: Any = self
        read_rule(self.residual)
        if p.kind != "discrete":
            raise AgentError(
                f"residual = {self.residual!r} starts gates from a rule, and kind = {p.kind!r} has"
                " none; set kind = 'discrete'"
            )
        for name, none in (("imitate", 0), ("hold_back", False)):
            if getattr(p, name) != none:
                raise AgentError(
                    f"residual = {self.residual!r} is a start of its own, without {name} ="
                    f" {getattr(p, name)!r}; set {name} = {none}"
                )


def read_rule(text: str) -> Agent:
    """The rule that `residual` names, with its parameters; `AgentError` for what is no rule."""
    if not text.split():
        raise AgentError(
            f"residual = {text!r}: expected the name of a rule and its parameters, 'ewma span=90'"
        )
    name, *pairs = text.split()
    kind = agent_class(name)
    if kind.learns or name == "clairvoyant" or kind().env_settings() != {"actions": "target"}:
        why = (
            "knows the future"
            if name == "clairvoyant"
            else "has to be trained"
            if kind.learns
            else "is no rule"
        )
        raise AgentError(f"residual = {text!r}: {name} {why}; choose one of {', '.join(_rules())}")
    try:
        values = read_pairs(pairs)
    except AgentError as error:
        raise AgentError(f"residual = {text!r}: after the rule, {error}") from None
    return make(name, **values)


def _rules() -> list[str]:
    found = agent_classes()
    return [
        name
        for name, kind in found.items()
        if not kind.learns and name not in ("clairvoyant", "random")
    ]


class Advice:
    """A rule's actions as one-hot columns, in the order of PPO's logits: per asset one of {hold,
    each carry}, and one of the leverages.

    A carry or leverage that the grids do not have counts as the nearest one that they have.
    """

    def __init__(
        self, rule: Agent, batch: Any, carries: tuple[float, ...], leverages: tuple[float, ...]
    ) -> None:
        self.rule, self.carries, self.leverages = rule, np.array(carries), np.array(leverages)
        self.width = batch.market.n_assets * (1 + len(carries) + len(leverages))
        rule.look_up(batch)
        rule.reset()

    def of(self, obs: Array) -> Array:
        """Columns (n, width) for observations (n, D); the memory of the rule advances."""
        return self._columns(self.rule, obs)

    def begin(self, obs: Array) -> Array:
        """Columns of the first observations of all environments."""
        self.rule.reset()
        return self.of(obs)

    def follow(self, obs: Array, ends: Array, ended: NDArray[np.bool_]) -> tuple[Array, Array]:
        """(columns of observations (n, D), columns of the last observations, in `ends`, of the
        episodes that have `ended` (n,)).
        """
        if not ended.any():
            now = self.of(obs)
            return now, now
        last = self._columns(deepcopy(self.rule), ends)
        self.rule.reset(ended)
        return self.of(obs), last

    def state(self) -> dict[str, Any]:
        """Copies of the rule's memory."""
        return deepcopy(vars(self.rule))

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from the values that `state` returned; what the rule has read of its own batch
        stays.
        """
        own = kept(self.rule)
        vars(self.rule).update(deepcopy(state))
        put_back(self.rule, own)

    def _columns(self, rule: Agent, obs: Array) -> Array:
        hold, carry, _, leverage = (
            np.asarray(rule.act(obs)).reshape(len(obs), -1, 4).transpose(2, 0, 1)
        )
        gate = np.where(hold > 0.5, 0, 1 + np.abs(carry[..., None] - self.carries).argmin(axis=-1))
        dial = np.abs(leverage[..., None] - self.leverages).argmin(axis=-1)
        answers = [
            np.eye(1 + len(self.carries), dtype=np.float32)[gate],
            np.eye(len(self.leverages), dtype=np.float32)[dial],
        ]
        return np.concatenate(answers, axis=-1).reshape(len(obs), -1)


class AdvisedAccounts:
    """`CounterfactualAccounts` with the rule's actions for each account, which are appended to its
    observations.
    """

    def __init__(
        self, training: Any, rule: str, carries: tuple[float, ...], leverages: tuple[float, ...]
    ) -> None:
        self.training = training
        self.advice = Advice(read_rule(rule), training.envs[0].batch, carries, leverages)

    def play(self, seed: int) -> Any:
        """As `CounterfactualAccounts.play`."""
        record = self.training.play(seed)
        told = [
            np.stack([self.advice.begin(seen[0]), *(self.advice.of(obs) for obs in seen[1:])])
            for seen in record.obs
        ]
        return record._replace(obs=np.concatenate([record.obs, np.stack(told)], axis=-1))
