"""What is kept of what PPO and SAC that steer margin carry have learned: the half-years of the
selection, its verdict, and the rule where nothing is clearly better.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import SAC

import agents
from agents.margin.dials import DIALS, DialledCarry
from agents.margin.episodes import Played, merits
from agents.margin.params import LearnedMarginParams
from agents.sb3.portfolio.params import OBSERVE
from agents.sb3.portfolio.selection import SCALES, judged, parts, verdict
from experiments.studies.portfolio_walks import PORTFOLIO as STUDY
from experiments.studies.portfolio_walks import walk
from fundenv.market import Market, between, stack
from tests.agents.one_capital_learners import DIALLED, PORTFOLIO, coins


@pytest.fixture(scope="module")
def market() -> Market:
    return coins(5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_half_years_of_the_selection_are_not_learned_from(seed: int) -> None:
    long = coins(2, years=2.6)
    learned, kept, same = parts(long, seed)
    assert not same
    times = [
        np.concatenate([each.close_ns[first:last] for first, last in each.paths])
        for each in (learned, kept)
    ]
    assert not np.intersect1d(*times).size
    whole = np.sort(np.concatenate(times))
    np.testing.assert_array_equal(whole, np.unique(long.close_ns))
    assert kept.n_paths in (1, 2)
    assert parts(coins(2), seed)[2]  # too short: the same for both


def test_a_learner_that_is_not_clearly_better_falls_back_to_the_rule_and_says_so(
    market: Market,
) -> None:
    none = verdict(np.array([0.1, -0.2, 0.0]), np.array([0.2, 0.1, 0.1]), 3, 72, False)
    assert none.scale == 0
    assert (
        "the agent is its fallback, the rule that it started from (1: +0.100 +- 0.2" in none.words()
    )
    half = verdict(np.array([0.1, 0.3, 0.0]), np.array([0.2, 0.1, 0.1]), 3, 72, False)
    assert half.scale == 0.5
    assert "kept at 0.5 of its strength" in half.words()
    assert verdict(np.full(3, -0.1), np.zeros(3), 3, 72, False).scale == 0
    agent: Any = agents.make("portfolio_ppo", **DIALLED["portfolio_ppo"])
    heard: dict[str, float] = {}

    class Hears:
        def step(self, steps: int, batch: Any) -> bool:
            return True

        def update(self, steps: int, scalars: dict[str, float]) -> bool:
            heard.update(scalars)
            return True

    agent.learn(market, PORTFOLIO, steps=256, seed=0, callback=Hears())
    assert heard["selection/fallback"] == float(heard["selection/strength"] == 0)
    assert {"time/env_and_rule", "time/networks", "time/selection"} <= set(heard)
    agent.verdict = None
    bad = -0.5 * np.ones(len(DIALS))  # a policy that borrows early and holds little
    with torch.no_grad():
        agent.model.policy.action_net.weight.mul_(0.0)
        agent.model.policy.action_net.bias.copy_(torch.as_tensor(bad))
    agent.kept, agent.seen_too = parts(market, 0)[1:]
    told = agent.select(PORTFOLIO, 0)
    assert told["selection/fallback"] == 1.0
    assert not agent.dials(np.ones((1, agent.width), np.float32)).any()
    assert "half-years" in agent.verdict


def test_the_selection_compares_what_walks_of_the_rules_earn(market: Market) -> None:
    """A policy that moves one dial by its reach is the rule with another parameter."""
    params: Any = agents.make("portfolio_ppo", **DIALLED["portfolio_ppo"], fewest_coins=5).params
    less = np.zeros((1, len(DIALS)))
    less[0, 5] = -1.0  # `own`
    settings = STUDY | {"actions": "target", "observe": OBSERVE}
    kept = parts(market, 0)[1]
    rates = (0.0, 0.03)

    def found(policy: np.ndarray) -> Any:
        return judged(
            lambda obs, scale: scale * policy,
            DialledCarry.of("enter=-3 exit=-3.5"),
            kept,
            settings,
            params,
            seed=0,
            subsets=2,
            cash_rates=rates,
        )

    merit, error = found(less)
    walks = [
        walk(agents.make("margin_carry", enter=-3, exit=-3.5, own=own), kept, rates)
        for own in (0.95, 0.95 * np.exp(-0.6))
    ]
    growth, fall = (
        np.stack([getattr(each, name).ravel() for each in walks]) for name in ("growth", "fall")
    )
    assert (growth[0] != growth[1]).any()
    told = merits(Played(growth, fall, np.zeros(growth.shape)), LearnedMarginParams())
    np.testing.assert_allclose(merit[SCALES.index(1.0)], told[1].mean(), atol=1e-6)
    assert np.isinf(error).all()  # one half-year: nothing is kept
    spans = (("2020-02", "2020-04"), ("2020-04", "2020-06"))
    kept = stack([between(market, *span) for span in spans])
    assert np.isfinite(found(less)[1]).all()
    nothing, no_error = found(0.0 * less)
    assert not nothing.any()
    assert not no_error.any()


def test_a_part_of_the_strength_acts_as_it_was_judged() -> None:
    """SAC limits what its network says before it is squashed; the part is taken before."""

    class Nothing(gym.Env[Any, Any]):
        observation_space = gym.spaces.Box(-10, 10, (3,), np.float32)
        action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    agent: Any = agents.make("portfolio_sac")
    agent.model = SAC(
        "MlpPolicy", Nothing(), use_sde=True, policy_kwargs={"net_arch": [8]}, buffer_size=10
    )
    with torch.no_grad():
        for weights in agent.last_layer().parameters():
            weights.mul_(20.0)
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    said = agent.means(obs)
    assert np.abs(said).max() > 2.0
    judged = agent.squashed(0.5 * said)
    agent.scale(0.5)
    np.testing.assert_allclose(agent.squashed(agent.means(obs)), judged, atol=1e-6)
