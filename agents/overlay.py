"""A rule that supervises another agent, such as a trained network: the rule may refuse entries of
the agent and close its positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agents.base import CHECKPOINT, Agent, observed
from agents.params import AgentError, Params, read_pairs
from agents.reasons import Reason
from agents.registry import agent_class, load, make
from agents.rules.actions import HELD, targets


@dataclass(frozen=True, kw_only=True)
class OverlayParams(Params):
    """The agent that decides, and the rule that supervises it."""

    base: str = "ewma"
    """Agent that decides: the folder of a trained one, or a rule with its parameters, as "ewma
    span=9".
    """
    rule: str = "zscore"
    """Rule that supervises it, with its parameters, as "zscore entry=2"; or the folder of a fitted
    threshold rule.
    """
    mode: Literal["veto", "flat"] = "flat"
    """veto: the rule refuses entries and increases that it would not make itself; flat: it also
    closes positions that it would not hold.
    """


class Overlay(Agent):
    """Follows `base` as far as `rule` agrees.

    Both see every observation. An entry, an increase or a change of side passes where the rule
    itself would be invested on that side after this decision; else the account stays as it is. With
    mode = flat the overlay also closes a position that the rule would leave, whatever the base
    says. The rule never enters on its own, and never changes size or leverage.
    """

    name = "overlay"
    parameters = OverlayParams
    params: OverlayParams

    def __init__(self, params: Params | None = None) -> None:
        super().__init__(params)
        self.base = _agent(self.params.base, "base")
        self.rule = _agent(self.params.rule, "rule")
        if self.rule.env_settings() != {"actions": "target"}:
            raise AgentError(
                f"agent overlay: rule = {self.params.rule!r} is no rule with target actions; name"
                " one, e.g. 'zscore entry=2'"
            )
        self._checked_actions()
        self.refused = self.closed = self.decisions = 0
        self._last: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None

    def _checked_actions(self) -> None:
        given = self.base.env_settings()
        self.grids: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        if given["actions"] == "discrete" and given.get("dials") == ("carry", "leverage"):
            self.grids = np.array(given["carry_grid"]), np.array(given["leverage_grid"])
        elif given["actions"] != "target":
            raise AgentError(
                f"agent overlay: base = {self.params.base!r} acts with {given['actions']} actions;"
                " choose one with gates (ppo, sac) or with target actions (rules)"
            )

    def env_settings(self) -> dict[str, Any]:
        """Target actions; other settings are the base's."""
        left = dict(self.base.env_settings())
        for name in ("actions", "dials", "carry_grid", "leverage_grid", "hedge"):
            left.pop(name, None)
        return left | {"actions": "target"}

    def look_up(self, batch: Any) -> None:
        """Find the columns of both."""
        names = tuple(column.name for column in batch.observation_table)
        for agent in (self.base, self.rule):
            known = agent.provenance.observations
            if agent.learns and known not in ((), names):
                odd = sorted(set(names) ^ set(known))[:6] or ["their order"]
                raise AgentError(
                    f"agent overlay: {agent.name} knows {len(known)} observations, this env has"
                    f" {len(names)}; they differ in {', '.join(odd)}"
                )
            agent.look_up(batch)
        self.carry = observed(batch.observation_table, "carry")

    def reset(self, mask: NDArray[np.bool_] | None = None) -> None:
        """Both forget the episodes of the environments in `mask` (n,), or all."""
        self.base.reset(mask)
        self.rule.reset(mask)
        if mask is None:
            self.refused = self.closed = self.decisions = 0

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """Target actions (n, A * 4)."""
        hold, carry, hedge, leverage = self._targets(
            self.base.act(obs, deterministic=deterministic)
        )
        base_reasons = self.base.reasons
        rule_hold, rule_carry, _, _ = _parts(self.rule.act(obs))
        now = self.carry.of(obs).astype(np.float64)
        wants = np.where(hold, now, carry)
        allowed = np.where(rule_hold, now, rule_carry)
        agrees = (np.abs(allowed) > HELD) & (np.sign(allowed) == np.sign(wants))
        grows = ~hold & (np.abs(wants) > HELD) & (
            (np.abs(wants) > np.abs(now) + HELD) | (np.sign(wants) != np.sign(now))
        )  # fmt: skip
        refused = grows & ~agrees
        inside = np.abs(now) > HELD
        stays = np.where(refused, now, wants)
        leaves = (np.abs(allowed) <= HELD) | (np.sign(allowed) != np.sign(now))
        closed = inside & leaves & (np.abs(stays) > HELD)
        if self.params.mode == "veto":
            closed = np.zeros_like(closed)
        self.reasons = np.select(
            [closed, refused], [Reason.FORCED, Reason.VETO], self._reasons(base_reasons, now, wants)
        ).astype(np.int8)
        self._last = refused & ~closed, closed
        return targets(
            (hold | refused) & ~closed, np.where(closed, 0.0, carry), hedge=hedge, leverage=leverage
        )

    def _targets(self, given: NDArray[Any]) -> tuple[Any, Any, Any, Any]:
        """Hold flag, carry, hedge ratio, leverage, each (n, A), of what the base gave."""
        if self.grids is None:
            return _parts(given)
        carries, leverages = self.grids
        gate, dial = np.asarray(given).reshape(len(given), -1, 2).transpose(2, 0, 1).astype(int)
        carry = carries[np.maximum(gate - 1, 0)]
        return gate == 0, carry, np.ones(gate.shape), leverages[dial]

    @staticmethod
    def _reasons(given: NDArray[np.int8] | None, now: Any, wants: Any) -> NDArray[Any]:
        """Those of the base; of a network, which gives none, what it does."""
        if given is not None:
            return given
        inside, after = np.abs(now) > HELD, np.abs(wants) > HELD
        return np.select(
            [after & ~inside, inside & ~after, inside],
            [Reason.ENTER, Reason.EXIT, Reason.HOLD],
            Reason.NEUTRAL,
        )

    def tally(self, active: NDArray[np.bool_]) -> None:
        """Count what the rule did in the last decision of the environments in `active` (n,)."""
        assert self._last is not None
        refused, closed = (int(each[active].sum()) for each in self._last)
        self.refused, self.closed = self.refused + refused, self.closed + closed
        self.decisions += int(active.sum()) * self._last[0].shape[1]

    def counts(self) -> str:
        """What the rule did since the last `reset`, in words."""
        return (
            f"{self.params.rule} over {self.params.base}: refused {self.refused:,} times, forced"
            f" flat {self.closed:,} times, in {self.decisions:,} decisions"
        )


def _parts(actions: NDArray[Any]) -> tuple[Any, Any, Any, Any]:
    hold, carry, hedge, leverage = (
        np.asarray(actions, dtype=np.float64).reshape(len(actions), -1, 4).transpose(2, 0, 1)
    )
    return hold > 0.5, carry, hedge, leverage


def _agent(text: str, field: str) -> Agent:
    """The agent in a folder, or a rule with its parameters."""
    if (Path(text) / CHECKPOINT).is_file():
        return load(text)
    name, *pairs = text.split() or [""]
    if "/" in name or not name:
        raise AgentError(
            f"agent overlay: {field} = {text!r} is no folder with {CHECKPOINT}; give one that"
            " training wrote, or a rule with its parameters"
        )
    kind = agent_class(name)
    if kind.learns or kind is Overlay:
        why = "has to be trained" if kind.learns else "cannot lie over itself"
        raise AgentError(
            f"agent overlay: {field} = {text!r}: {name} {why}; give the folder of a trained agent,"
            " or a rule"
        )
    return make(name, **read_pairs(pairs))
