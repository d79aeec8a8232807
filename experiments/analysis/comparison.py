"""THE comparison of a run, as data: computed once from its rollouts, kept in results.json, printed
alike by results.md, the screen, report.html and TensorBoard.

The score of a seed on a symbol is its growth per year net of the cash rate, mean over the cash
rates of the comparison, at single costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import agents
from agents import AgentError

CLAIRVOYANT, ALWAYS_ON = "clairvoyant", "carry"
PRICE = ("spot_pnl", "perp_pnl")
COSTS = ("fees", "spread", "impact", "borrow_interest", "liquidation_loss")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One agent. Rates are fractions per year (0.05 = 5 %), None where nothing can be said."""

    agent: str
    kind: str  # learner, rule, or bound: an agent that knows the future
    seeds: int
    growth: float  # mean over seeds, symbols and cash rates
    low: float | None  # its 95 % interval over days and whole seeds
    high: float | None
    iqm: float  # interquartile mean over seeds and symbols
    iqm_low: float | None  # its 95 % interval over whole seeds
    iqm_high: float | None
    by_seed: dict[str, float]
    by_cash_rate: dict[str, float]
    by_fold: dict[str, float]
    double_costs: float | None  # at twice the fees, spread and impact
    of_bound: float | None  # (agent - always-on carry) / (clairvoyant - always-on carry)
    worst_seed: float
    sharpe: float  # mean over seeds, symbols and cash rates, as all that follows
    max_drawdown: float
    deepest_fall: float  # of any seed, symbol and cash rate
    liquidations_per_year: float
    turnover_per_year: float
    time_in_market: float
    nearest_margin: float | None  # least distance to liquidation of any account, daily volatilities
    funding: float  # contributions to log growth per year
    price: float
    costs: float
    cash: float


@dataclass(frozen=True, kw_only=True)
class Duel:
    """One agent against a rule on the same days."""

    agent: str
    other: str
    difference: float  # of mean daily net log returns, x 365
    low: float | None  # its 95 % interval over days and whole seeds
    high: float | None
    improvement: float | None  # probability that a seed beats the rule on a symbol
    improvement_low: float | None
    improvement_high: float | None
    p_value: float | None  # one-sided
    statement: str  # why there is no probability and no p-value; empty where there are


@dataclass(frozen=True, kw_only=True)
class Luck:
    """How much of a learner's Sharpe ratio the search for its settings explains."""

    agent: str
    sharpe: float  # of mean daily returns, annualised
    configurations: int
    without_figure: int
    deflated_sharpe: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that a run says about which agent is better than which."""

    span: str
    years: float
    cash_rates: tuple[float, ...]
    standings: tuple[Standing, ...]
    duels: tuple[Duel, ...]
    luck: tuple[Luck, ...] = ()
    folds: tuple[Standing, ...] = ()  # on the validation pieces of walk-forward folds
    cautions: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()  # sentences

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Comparison:
        """The inverse of `to_dict`."""
        kinds: dict[str, Any] = {"standings": Standing, "folds": Standing}
        kinds |= {"duels": Duel, "luck": Luck}
        made: dict[str, Any] = {
            name: tuple(kinds[name](**each) if name in kinds else each for each in value)
            if isinstance(value, (list, tuple))
            else value
            for name, value in values.items()
        }
        return cls(**made)

    def cash(self) -> str:
        """Which cash rates the growth is net of, in words."""
        return cash_words(self.cash_rates)

    def standing(self, agent: str) -> Standing:
        """The line of one agent."""
        return next(each for each in self.standings if each.agent == agent)


def cash_words(rates: Sequence[float]) -> str:
    """The cash rate, or the mean of several, in words."""
    shown = [f"{100 * rate:g} %" for rate in rates]
    if len(shown) == 1:
        return f"the cash rate {shown[0]}"
    return f"the mean of the cash rates {', '.join(shown[:-1])} and {shown[-1]}"


def kind_of(agent: str) -> str:
    """learner, rule or bound; an agent that this version does not know counts as a rule."""
    if agent == CLAIRVOYANT:
        return "bound"
    try:
        return "learner" if agents.agent_class(agent).learns else "rule"
    except AgentError:
        return "rule"


def no_statement(seeds: int) -> str:
    """Why few seeds prove nothing."""
    return f"{seeds} seed{'' if seeds == 1 else 's'}: no statement"
