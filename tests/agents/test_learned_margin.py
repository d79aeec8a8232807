"""Learned margin carry: untrained it is the rule, it treats coins alike, its training can be
stopped, and its search follows what is clear of noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from agents.margin.episodes import Played, merits
from agents.margin.rule import DIALS, SHAPE
from agents.training.coordinate_search import CoordinateSearch
from fundenv.market import Market
from tests.agents.one_capital_learners import (
    PORTFOLIO,
    acted,
    acted_on_paths,
    coins,
    order_changes_nothing,
)
from tests.agents.refused import refused_in_one_line
from tests.agents.watching import until

TINY: dict[str, Any] = {"n_envs": 4, "episode_days": 6, "crash_share": 0.0}
ROUND = 4 * 18 * (2 + 2 * SHAPE[0] * SHAPE[1])  # environment steps


@pytest.fixture(scope="module")
def market() -> Market:
    return coins(5)


@pytest.fixture(scope="module")
def moved() -> Any:
    """An agent with weights far from the rule's."""
    agent: Any = agents.make("learned_margin")
    agent.rule.weights = np.random.default_rng(1).normal(0.0, 0.7, (1, *SHAPE))
    return agent


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("own", [{}, {"highest": 1.5, "swap": 0.2, "enter": 0.0, "low": 0.9}])
def test_untrained_it_is_the_rule_to_the_bit(count: int, own: dict[str, float]) -> None:
    made = coins(count)
    text = " ".join(f"{name}={value}" for name, value in own.items())
    said = acted(agents.make("learned_margin", rule=text), made)
    told = acted(agents.make("margin_carry", **own), made)
    np.testing.assert_array_equal(said, told)
    hold = told.reshape(*told.shape[:2], -1, 4)[..., 0]
    assert (hold == 0).any()  # the rule gave orders


def test_weights_change_what_it_does(market: Market, moved: Any) -> None:
    said = acted(moved, market)
    told = acted(agents.make("margin_carry"), market)
    assert (said != told).any()


def test_what_it_does_does_not_depend_on_the_order_of_the_coins(market: Market, moved: Any) -> None:
    order_changes_nothing(moved, market, 1e-6)


@pytest.mark.parametrize("count", [1, 3, 10])
def test_it_acts_on_any_number_of_coins(count: int, moved: Any) -> None:
    said = acted(moved, coins(count), steps=5)
    assert said.shape == (5, 8, 4 * count)
    assert np.isfinite(said).all()


def test_its_parameters_stay_within_their_reach(market: Market, moved: Any) -> None:
    acted(moved, market, steps=5)
    own, now = moved.rule.params, moved.rule.p
    for dial in DIALS:
        for name in dial.moves:
            value, found = getattr(own, name), getattr(now, name)
            low, high = (
                (value * np.exp(-dial.reach), value * np.exp(dial.reach))
                if dial.times
                else (value - dial.reach, value + dial.reach)
            )
            assert (found >= low).all()
            assert (found <= high).all()
    assert (now.repay <= now.borrow).all()
    assert (now.near <= now.distance).all()


def test_it_learns_saves_and_comes_back(market: Market, tmp_path: Path) -> None:
    agent: Any = agents.make("learned_margin", **TINY | {"learning_rate": 1.0})
    agent.learn(market, PORTFOLIO, steps=3 * ROUND, seed=0)
    assert agent.steps_done == 3 * ROUND
    assert np.abs(agent.weights).max() > 0
    agent.save(tmp_path)
    again: Any = agents.load(tmp_path)
    np.testing.assert_array_equal(again.weights, agent.weights)
    said = acted(again, coins(3), steps=4)
    told = acted(agent, coins(3), steps=4)
    np.testing.assert_array_equal(said, told)


def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(
    market: Market, tmp_path: Path
) -> None:
    whole: Any = agents.make("learned_margin", **TINY)
    whole.learn(market, PORTFOLIO, steps=3 * ROUND, seed=5)
    first: Any = agents.make("learned_margin", **TINY)
    first.learn(market, PORTFOLIO, steps=3 * ROUND, seed=5, callback=until(ROUND * 3 // 2))
    assert first.steps_done == ROUND  # the round that was stopped is played again
    first.save(tmp_path)
    second: Any = agents.load(tmp_path)
    second.learn(market, PORTFOLIO, steps=3 * ROUND, seed=5)
    np.testing.assert_array_equal(second.weights, whole.weights)
    assert np.abs(whole.weights).max() > 0


def test_constants_alone_do_not_look_at_the_state(market: Market) -> None:
    agent: Any = agents.make("learned_margin", **TINY | {"constant": True, "learning_rate": 1.0})
    agent.learn(market, PORTFOLIO, steps=2 * 4 * 18 * (2 + 2 * SHAPE[0]), seed=0)
    assert np.abs(agent.weights[:, 0]).max() > 0
    assert (agent.weights[:, 1:] == 0).all()


def test_each_path_of_one_coin_is_an_account_too() -> None:
    _, actions = acted_on_paths("learned_margin", TINY, ROUND)
    assert actions.shape == (3, 4)


def test_the_search_finds_what_is_clear_and_leaves_noise_alone() -> None:
    search, rng = CoordinateSearch(3, probe=0.1), np.random.default_rng(0)
    for number in range(40):
        tries = search.tries()
        noise = 0.01 * rng.standard_normal((len(tries), 50))
        merit = -((tries[:, 0] - 1.0) ** 2) - 0.2 * (tries[:, 1] + 0.5) ** 2
        search.learn(merit[:, None] + noise, rate=0.1 * (1 - number / 40), pull=0.0)
    np.testing.assert_allclose(search.centre, [1.0, -0.5, 0.0], atol=0.15)


def test_falls_and_liquidations_are_charged_for_beyond_the_rules_own() -> None:
    params: Any = agents.make(
        "learned_margin", small=0.05, fall_limit=0.03, fall_charge=10.0, liquidation_charge=2.0
    ).params
    played = Played(
        growth=np.array([[0.05, 0.05, 0.05], [0.10, 0.10, 0.10]]),
        fall=np.array([[0.01, 0.04, 0.01], [0.02, 0.06, 0.05]]),
        liquidations=np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
    )
    found = merits(played, params)
    np.testing.assert_allclose(found[0], 0.0)
    np.testing.assert_allclose(found[1], [0.5, 0.5 - 10 * 0.02, 0.5 - 10 * 0.02 - 2.0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rule": "highest=abc"}, "rule = 'highest=abc': .*highest"),
        ({"rule": "exit=1"}, "rule = 'exit=1': .*exit"),
        ({"cash_low": 0.1}, "cash_low = 0.1 is above cash_high = 0.07; lower it"),
        ({"probe": 0.0}, "probe"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    refused_in_one_line("learned_margin", given, said)
