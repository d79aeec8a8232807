"""Parameters of the learned margin carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from agents.params import AgentError, Params, Range, read_pairs
from agents.rules.margin_carry import MarginCarryParams


@dataclass(frozen=True, kw_only=True)
class LearnedMarginParams(Params):
    """The rule that the training starts from, the search, and its episodes."""

    spans: ClassVar[tuple[tuple[str, str], ...]] = (
        ("cash_low", "cash_high"),
        ("fee_low", "fee_high"),
        ("funding_low", "funding_high"),
        ("borrow_low", "borrow_high"),
        ("supply_low", "supply_high"),
    )

    rule: str = "compare=1 highest=4"
    """Parameters of margin carry that the training starts from, as "highest=1.5 swap=2"; the others
    are its defaults.
    """
    constant: bool = False
    """Learn only constants, which do not depend on the state: a calibration by the same search."""
    probe: Annotated[float, Range(1e-4, 10)] = 0.3
    """Distance by which the search moves each weight up and down."""
    learning_rate: Annotated[float, Range(1e-6, 10)] = 0.25
    """Largest step of a weight in the first round, falling linearly to 0."""
    pull: Annotated[float, Range(0, 1, "per round")] = 0.02
    """Share by which every weight shrinks towards zero in each round; at zero the agent equals the
    rule.
    """
    n_envs: Annotated[int, Range(1, 65536, "episodes")] = 48
    """Number of episodes of every try in a round; each has its own terms and subset of coins."""
    episode_days: Annotated[int, Range(1, 3650, "days")] = 120
    """Length of an episode."""
    crash_share: Annotated[float, Range(0, 0.9, "of the episodes")] = 0.2
    """Share of the episodes that begin 1 to 10 days before one of the 16 most volatile days."""
    fewest_coins: Annotated[int, Range(1, 32, "coins")] = 1
    """Every episode uses a random subset of the coins, of at least this many."""
    small: Annotated[float, Range(1e-4, 10, "per year")] = 0.05
    """An episode counts by (growth - growth of the rule) / (small + |growth of the rule|)."""
    fall_limit: Annotated[float, Range(0, 1, "of equity")] = 0.03
    """The search charges for a fall of equity that is deeper than this and deeper than the rule's.
    """
    fall_charge: Annotated[float, Range(0, 1e4, "per unit of the fall")] = 20.0
    """That charge; 20: one hundredth deeper counts as 0.2 of the growth of the rule."""
    liquidation_charge: Annotated[float, Range(0, 100)] = 2.0
    """Charge for an episode with a liquidation; 2: twice the growth of the rule."""
    cash_low: Annotated[float, Range(-0.5, 1, "per year")] = -0.02
    """Lowest cash rate of the training."""
    cash_high: Annotated[float, Range(-0.5, 1, "per year")] = 0.07
    """Highest cash rate of the training."""
    fee_low: Annotated[float, Range(0.01, 100, "of the venue's fees")] = 0.8
    """Lowest factor on fees in training."""
    fee_high: Annotated[float, Range(0.01, 100, "of the venue's fees")] = 1.25
    """Highest factor on fees in training."""
    funding_low: Annotated[float, Range(0.01, 10, "of the recorded funding")] = 0.1
    """Lowest factor on funding."""
    funding_high: Annotated[float, Range(0.01, 10, "of the recorded funding")] = 1.25
    """Highest factor on funding."""
    funding_shift: Annotated[float, Range(0, 10, "bp per 8 h")] = 0.3
    """Largest shift of funding, up or down."""
    funding_share: Annotated[float, Range(0, 1, "of the episodes")] = 0.7
    """Share of the episodes with these factors and shifts."""
    borrow_low: Annotated[float, Range(0, 100, "of the env's rate")] = 0.5
    """Lowest interest on borrowed quote in training."""
    borrow_high: Annotated[float, Range(0, 100, "of the env's rate")] = 1.5
    """Highest interest on borrowed quote in training."""
    scarce_share: Annotated[float, Range(0, 1, "of the episodes")] = 0.2
    """Share of the episodes in which quote comes from a limited pool, at a rising rate."""
    supply_low: Annotated[float, Range(0.01, 1e6, "of the initial equity")] = 3.0
    """Smallest limited pool."""
    supply_high: Annotated[float, Range(0.01, 1e6, "of the initial equity")] = 30.0
    """Largest limited pool."""
    threads: Annotated[int, Range(1, 256, "threads")] = 1
    """Number of threads that step the environments."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for low, high in self.spans:
            if getattr(self, low) > getattr(self, high):
                raise AgentError(
                    f"{low} = {getattr(self, low)!r} is above {high} = {getattr(self, high)!r};"
                    " lower it"
                )


def start(text: str) -> MarginCarryParams:
    """Parameters of margin carry written as "compare=1 highest=4"; `AgentError` names the text."""
    try:
        return MarginCarryParams.from_dict(read_pairs(text.split()), owner="margin_carry")
    except AgentError as error:
        raise AgentError(f"rule = {text!r}: {error}") from None
