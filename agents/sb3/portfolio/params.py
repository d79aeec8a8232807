"""Parameters that both learners of one capital share, and the env that they act in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from agents.margin.params import start
from agents.params import AgentError, Range
from agents.sb3.params import NOT_FOR_CARRY, LearningParams

# observations of every env of these agents, in this order
OBSERVE = (
    "available",
    "liquidation_distance",
    "unused_collateral",
    "borrow_cost",
    "keeper_up",
)
# of a coin: what depends on the set of coins in the files, or says less than another observation
_NOT_FOR_COINS = (NOT_FOR_CARRY - {"volatility_30d", "liquidated", "return_7d"}) | {
    "funding_market",
    "settlement_sin",
    "settlement_cos",
}


@dataclass(frozen=True, kw_only=True)
class PortfolioParams(LearningParams):
    """What PPO and SAC share on one capital."""

    spans = (
        *LearningParams.spans,
        ("borrow_low", "borrow_high"),
        ("supply_low", "supply_high"),
    )

    n_envs: Annotated[int, Range(1, 65536, "environments")] = 64
    batch_size: Annotated[int, Range(1, 1_000_000, "samples")] = 1024
    hidden: Annotated[int, Range(1, 4096, "units")] = 32
    """Width of the layers of each network; the same network looks at every coin."""
    gamma: Annotated[float, Range(0, 1, "per decision")] = 0.999
    shaping: bool = False
    """Must stay off: the hindsight potential does not support a shared capital."""
    start_invested: Annotated[float, Range(0, 1, "of training episodes")] = 0.0
    """An account over several coins begins flat: 0."""
    funding_low: Annotated[float, Range(0.01, 10, "of the recorded funding")] = 0.1
    episode_days: Annotated[int, Range(1, 3650, "days")] = 120
    fewest_coins: Annotated[int, Range(1, 32, "coins")] = 1
    """Every training episode uses a random subset of the coins, of at least this many."""
    borrow_low: Annotated[float, Range(0, 100, "of the env's rate")] = 0.5
    """Lowest interest on borrowed quote in training; the environments have rates at equal steps
    from it to `borrow_high`.
    """
    borrow_high: Annotated[float, Range(0, 100, "of the env's rate")] = 1.5
    """Highest interest on borrowed quote in training."""
    scarce_share: Annotated[float, Range(0, 1, "of the environments")] = 0.2
    """Share of the environments in which quote comes from a limited pool, at a rising rate."""
    supply_low: Annotated[float, Range(0.01, 1e6, "of the initial equity")] = 3.0
    """Smallest such pool; the environments have pools at equal steps, on a log scale, from it to
    `supply_high`.
    """
    supply_high: Annotated[float, Range(0.01, 1e6, "of the initial equity")] = 30.0
    """Largest such pool."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("shaping", "start_invested"):
            if getattr(self, name):
                raise AgentError(
                    f"{name} = {getattr(self, name)!r} is made for coins with capital of their own;"
                    f" set {name} = {type(getattr(self, name))(0)!r}"
                )


@dataclass(frozen=True, kw_only=True)
class DialParams(PortfolioParams):
    """What PPO and SAC share that steer margin carry: a decision is a number for each dial of
    `agents.margin.dials`; all zero is the rule.
    """

    rule: str = "compare=1 highest=4"
    """Parameters of margin carry that the training starts from, as "highest=1.5 swap=2"; the others
    are its defaults.
    """
    fee_low: Annotated[float, Range(0.01, 100, "of the venue's fees")] = 0.8
    fee_high: Annotated[float, Range(0.01, 100, "of the venue's fees")] = 1.25
    crash_share: Annotated[float, Range(0, 0.9, "of training episodes")] = 0.2
    liquidation_charge: Annotated[float, Range(0, 1, "of equity")] = 0.04
    small: Annotated[float, Range(1e-4, 10, "per year")] = 0.05
    """An episode counts by small / (small + what the best coin pays above cash when it begins), so
    that the richest years do not decide alone; the selection counts by (growth - growth of the
    rule) / (small + |growth of the rule|).
    """
    noise: Annotated[float, Range(-10, 2, "log")] = -2.0
    """Log of the initial standard deviation of the exploration's weights (gSDE): the noise is a
    function of the state, and one for each environment until it is drawn anew.
    """
    select: bool = True
    """Keep half-years for a selection, and fall back to the rule where what was learned is not
    better there by one standard error; False: keep it in any case.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        start(self.rule)


@dataclass(frozen=True, kw_only=True)
class ChoiceParams(PortfolioParams):
    """What PPO and SAC with counted choices share. A decision is one of: stay, go to cash, or
    invest the whole capital in one coin at one of the levels.
    """

    levels: Annotated[tuple[float, ...], Range(0.01, 20, "of equity")] = (0.5, 0.95, 1.5, 2.0)
    """Notionals over equity to choose from, rising; above 1 an account in portfolio margin borrows.
    A level above the limit by `max_leverage` counts as that limit.
    """
    teacher: str = "rotation leverage=2 band=0.5"
    """Rule of one capital that the learner starts from, with its parameters; empty: none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        rising("levels", self.levels)


def rising(name: str, values: tuple[float, ...]) -> None:
    """Raise `AgentError` where the entries of a grid do not rise."""
    if not values or list(values) != sorted(set(values)):
        raise AgentError(f"{name} = {values!r} does not rise; give at least one number, sorted")


def env_settings() -> dict[str, Any]:
    """`EnvConfig` fields of these agents: targets on one capital, with the band of the keeper as a
    dial.
    """
    return {
        "actions": "target",
        "dials": ("carry", "hedge", "leverage", "keeper"),
        "capital": "shared",
        "keeper_watches": "equity",
        "observe": OBSERVE,
    }


def coin_columns(names: list[str], observations: str) -> list[int]:
    """Which of the columns of a coin the networks see."""
    wanted = set(names) if observations == "all" else set(names) - _NOT_FOR_COINS
    return [i for i, name in enumerate(names) if name in wanted]
