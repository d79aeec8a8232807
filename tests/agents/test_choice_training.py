"""What learners with counted choices learn from: choices as orders, a rule that they imitate,
hidden coins, terms of loans, and the values of all choices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import agents
from agents.sb3.portfolio.choices import CASH, COINS, STAY, Choices
from agents.sb3.portfolio.teacher import Teacher
from agents.training.portfolio_counterfactual import merit
from agents.training.portfolio_imitation import imitate
from fundenv.market import Market
from tests.agents.one_capital_learners import CHOICE, PORTFOLIO, bound, coins, two_coins_answered


@pytest.fixture(scope="module")
def market() -> Market:
    return coins(5)


def test_a_policy_that_has_imitated_a_rule_gives_its_orders(market: Market) -> None:
    params = CHOICE["choice_ppo"] | {"hidden": 32, "funding_low": 1.0, "n_envs": 16}
    agent: Any = agents.make("choice_ppo", **params)
    env = agent.training_env(market, PORTFOLIO, seed=0)
    model = agent.build(env, 0)
    model.set_random_seed(0)
    teacher = Teacher("rotation leverage=2 band=0.5", env.batch, agent.choices)
    stays, orders = imitate(model, teacher, samples=6000, seed=0)
    env.close()
    assert stays > 0.7
    assert orders > 0.3  # one of 22 choices, and 0 where the policy learned to stay for ever


def test_choices_move_the_whole_capital_and_come_back_from_the_targets_of_a_rule(
    market: Market,
) -> None:
    agent: Any = agents.make("choice_ppo")
    batch = bound(agent, market, 4)
    choices = Choices(batch, (0.5, 0.95, 1.5, 2.0), (1.6, 4.0))
    ask = np.array([STAY, CASH, COINS + 4 * 2 + 1, COINS + 4 * 4 + 3])
    actions = choices.targets(batch.obs, ask, np.array([0, 1, 0, 1]))
    np.testing.assert_allclose(actions[:, -1], [1.6, 4.0, 1.6, 4.0])
    batch.step(actions)
    names = [column.name for column in batch.observation_table]
    held = [i for i, name in enumerate(names) if name.split(":")[-1] == "perp_weight"]
    wanted = np.zeros((4, 5))
    wanted[2, 2], wanted[3, 4] = -0.95, -2.0
    np.testing.assert_allclose(batch.obs[:, held], wanted, atol=0.06)
    # all to cash, and from one coin to another in one decision
    ask = np.array([STAY, STAY, CASH, COINS + 1])
    batch.step(choices.targets(batch.obs, ask, np.zeros(4, int)))
    wanted = np.zeros((4, 5))
    wanted[3, 0] = -0.95
    np.testing.assert_allclose(batch.obs[:, held], wanted, atol=0.06)
    everywhere = bound(agent, market, choices.count)
    each = np.arange(choices.count)
    told = choices.targets(everywhere.obs, each, np.zeros(len(each), int))[:, :-1]
    back = choices.nearest(told)
    # nothing is held, so cash asks for nothing
    np.testing.assert_array_equal(back, np.where(each == CASH, STAY, each))


def test_a_hidden_coin_is_drawn_anew_with_every_episode_and_never_traded(market: Market) -> None:
    agent: Any = agents.make("choice_ppo", **CHOICE["choice_ppo"] | {"fewest_coins": 2})
    env = agent.training_env(market, PORTFOLIO, seed=1)
    env.seed(0)
    env.reset()
    first, shown = env.hidden.copy(), []
    rng = np.random.default_rng(0)
    for _ in range(80):
        before = env.hidden.copy()
        obs, _, dones, infos = env.step(
            np.stack([rng.integers(0, env.choices.count, 8), np.zeros(8, int)], axis=1)
        )
        weight = env.choices.column["perp_weight"].of(env.batch.obs)
        assert not weight[env.hidden].any()
        assert not obs[:, env.places][env.hidden].any()
        for i in np.flatnonzero(dones):
            assert not infos[i]["terminal_observation"][env.places[before[i]]].any()
        shown.append((~env.hidden).sum(axis=1))
    env.close()
    assert not np.array_equal(first, env.hidden)
    assert set(np.unique(shown)) == {2, 3, 4, 5}


def test_training_envs_differ_in_interest_and_pools_of_quote(market: Market) -> None:
    agent: Any = agents.make("choice_ppo", **CHOICE["choice_ppo"] | {"scarce_share": 0.25})
    env = agent.training_env(market, PORTFOLIO, seed=1)
    given = agent.training_inputs[3]
    env.close()
    rates, pools = given["quote_borrow_rate"], given["quote_supply"]
    assert len(np.unique(rates)) == 8
    assert 0.5 * 0.073 < rates.min() < rates.max() < 1.5 * 0.073
    assert (pools > 0).sum() == 2
    assert (pools[pools > 0] >= 3e5).all()


def test_values_of_choices_are_those_of_every_schedule_played_out() -> None:
    """Against all schedules of three decisions over cash and two coins, one by one."""
    rng = np.random.default_rng(2)
    length, states = 3, 3
    record = two_coins_answered(rng, length, 2.0)
    record.liquidated[1, 0, 2] = True
    chances = rng.dirichlet(np.ones(1 + states), (length, 1, states)).astype(np.float32)
    start = np.array([[0.2, 0.5, 0.3]], np.float32)

    def play(k: int, state: int) -> float:
        """Expected sum of what follows, written out."""
        if k == length:
            return 0.0
        total = 0.0
        for choice in range(1 + states):
            then = state if choice == 0 else choice - 1
            left, new = record.held[k, 0, state], record.asked[0, then]
            moved = 0.0 if choice == 0 else abs(new - left) if then == state else left + new
            paid = record.gain[k, 0, then] - 2.0 * moved
            if record.liquidated[k, 0, then]:
                paid, then = paid - 7.0, 0
            total += float(chances[k, 0, state, choice]) * (paid + play(k + 1, then))
        return total

    found = merit(chances, record, 1.0, 7.0, start)
    expected = [play(0, state) for state in range(states)]
    np.testing.assert_allclose(found.value[0, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(found.growth * length, start[0] @ expected, rtol=1e-5)
    np.testing.assert_allclose(found.chance.sum(axis=-1), 1.0, rtol=1e-5)
    mean = (chances * found.better).sum(axis=-1)
    np.testing.assert_allclose(mean, 0.0, atol=1e-5)
