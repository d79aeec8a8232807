"""PPO and SAC that steer margin carry: untrained the rule, paired rewards, order and number of
coins, files, refused settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from agents.margin.dials import DIALS, DialledCarry
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market
from tests.agents.one_capital_learners import (
    CHOICE,
    DIALLED,
    PORTFOLIO,
    acted,
    acted_on_paths,
    bound,
    coins,
    learned,
    order_changes_nothing,
    resumed,
    untrained,
    without_a_coin,
)
from tests.agents.refused import refused_in_one_line

STEPS = {"portfolio_ppo": 256, "portfolio_sac": 160}
LEARNERS = tuple(DIALLED)


@pytest.fixture(scope="module")
def market() -> Market:
    return coins(5)


@pytest.fixture(scope="module")
def trained(market: Market) -> dict[str, Any]:
    unselected = {name: params | {"select": False} for name, params in DIALLED.items()}
    return {name: learned(name, unselected[name], market, STEPS[name]) for name in LEARNERS}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("count", [1, 3, 10])
def test_untrained_it_is_the_rule_to_the_bit(name: str, count: int, market: Market) -> None:
    said = acted(untrained(name, market), coins(count))
    told = acted(agents.make("margin_carry", compare=1, highest=4), coins(count))
    np.testing.assert_array_equal(said, told)
    assert (told.reshape(*told.shape[:2], -1, 4)[..., 0] == 0).any()  # the rule gave orders


@pytest.mark.parametrize("dial", range(len(DIALS)))
def test_every_dial_moves_its_parameters_within_its_reach(dial: int, market: Market) -> None:
    rule = DialledCarry.of("compare=1 highest=4")
    batch = Batch(4, market=market, **PORTFOLIO | rule.env_settings())
    rule.look_up(batch)
    batch.reset(1)
    own, moved = rule.params, DIALS[dial]
    for way in (-1.0, 0.0, 1.0):
        rule.dials = np.zeros((4, len(DIALS)))
        rule.dials[:, dial] = way
        rule.reset()
        rule.act(batch.obs)
        for name in moved.moves:
            value = getattr(own, name)
            most = value * np.exp(moved.reach * way) if moved.times else value + moved.reach * way
            most = {"own": min(most, own.own), "low": min(most, 0.95)}.get(name, most)
            np.testing.assert_allclose(getattr(rule.p, name), most)
        assert (rule.p.exit <= rule.p.enter).all()
        assert (rule.p.repay <= rule.p.borrow).all()
        assert (rule.p.near <= rule.p.distance).all()


def test_recent_funding_and_volatility_enter_the_comparison_of_coins(market: Market) -> None:
    rule = DialledCarry.of("")
    batch = Batch(4, market=market, **PORTFOLIO | rule.env_settings())
    rule.look_up(batch)
    batch.reset(1)
    rule.capital.see(batch.obs)

    def worth(**dials: float) -> tuple[np.ndarray, np.ndarray]:
        rule.reset()
        rule.dials = np.array([[dials.get(dial.name, 0.0) for dial in DIALS]])
        seen = rule.see(batch.obs)
        return seen.mean, rule.worth(seen)

    mean, plain = worth()
    recent = rule.recent.of(batch.obs)
    np.testing.assert_allclose(worth(recent=1.0)[0], 0.5 * mean + 0.5 * recent, atol=1e-6)
    week = rule.column["volatility_7d"].of(batch.obs)
    np.testing.assert_allclose(worth(calm=1.0)[1], plain - 0.3 * np.log(week / 0.8), atol=1e-6)


def test_a_reward_is_the_growth_beyond_the_rules_and_zero_where_nothing_is_moved(
    market: Market,
) -> None:
    agent: Any = agents.make("portfolio_ppo", **DIALLED["portfolio_ppo"] | {"small": 10.0})
    env = agent.training_env(market, PORTFOLIO, seed=3)
    obs, n = env.reset(), env.num_envs
    ends = 0
    for _ in range(40):
        obs, rewards, dones, infos = env.step(np.zeros((n, len(DIALS))))
        assert not rewards.any()
        assert dones.all() or not dones.any()
        ends += int(dones.all())
        for info in infos[: n if dones.all() else 0]:
            assert info["terminal_observation"].shape == obs[0].shape
    assert ends == 2  # 15 decisions of 8 h in five days
    moved = np.tile(np.linspace(-1.0, 1.0, n)[:, None], (1, len(DIALS)))
    total = np.zeros(n)
    env.reset()
    before = env.batch.store.account[:, t.EQUITY].copy()
    weight = env.weight.copy()
    for _ in range(14):
        _, rewards, _, _ = env.step(moved)
        total += rewards
    own = np.log(env.batch.store.account[:, t.EQUITY] / before)
    np.testing.assert_allclose(
        total, 500 * (own[:n] - own[n:]) * weight, atol=1e-3
    )  # both pay the same for cash
    assert np.abs(total).max() > 0.01
    env.close()


@pytest.mark.parametrize("name", LEARNERS)
def test_what_it_does_does_not_depend_on_the_order_of_the_coins(
    name: str, market: Market, trained: dict[str, Any]
) -> None:
    order_changes_nothing(trained[name], market, 1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_state_moves_the_dials_and_a_coin_that_is_not_listed_does_not(
    name: str, market: Market, trained: dict[str, Any]
) -> None:
    agent = trained[name]
    obs = bound(agent, market).obs.copy()
    absent, less, _ = without_a_coin(obs)
    np.testing.assert_allclose(agent.dials(absent), agent.dials(less), atol=1e-5)
    assert np.ptp(agent.dials(obs), axis=0).max() > 0.05
    assert np.abs(agent.dials(absent) - agent.dials(obs)).max() > 1e-3
    drawn = agent.dials(obs, deterministic=False)
    assert (np.abs(drawn) <= 1).all()
    assert (drawn != agent.dials(obs)).any()


@pytest.mark.parametrize("name", LEARNERS)
def test_a_saved_learner_acts_as_before_and_opens_in_plain_sb3(
    name: str, market: Market, trained: dict[str, Any], tmp_path: Path
) -> None:
    import stable_baselines3

    agent = trained[name]
    agent.save(tmp_path)
    again: Any = agents.load(tmp_path)
    np.testing.assert_array_equal(acted(again, coins(3), 10), acted(agent, coins(3), 10))
    batch = bound(again, market, 8, seed=2)
    kind: Any = getattr(stable_baselines3, name.removeprefix("portfolio_").upper())
    model = kind.load(tmp_path / "model.zip", device="cpu")
    said = model.predict(batch.obs, deterministic=True)[0]
    np.testing.assert_allclose(said, again.dials(batch.obs), atol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(
    name: str, market: Market, tmp_path: Path
) -> None:
    whole, first, second = resumed(name, DIALLED[name], market, STEPS[name], tmp_path)
    assert first.verdict is None
    assert second.verdict == whole.verdict


def test_each_path_of_one_coin_is_an_account_too() -> None:
    _, actions = acted_on_paths("portfolio_ppo", DIALLED["portfolio_ppo"], 64)
    assert actions.shape == (3, 4)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("portfolio_ppo", {"rule": "highest=abc"}, "rule = 'highest=abc': .*highest"),
        ("portfolio_sac", {"rule": "exit=1"}, "rule = 'exit=1': .*exit"),
        ("portfolio_ppo", {"shaping": True}, "shaping = True .* set shaping = False"),
        ("portfolio_sac", {"borrow_low": 2.0}, "borrow_low = 2.0 is above borrow_high = 1.5"),
        ("portfolio_ppo", {"levels": (1.0,)}, "no parameter 'levels'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    name: str, params: dict[str, Any], said: str
) -> None:
    refused_in_one_line(name, params, said)


def test_an_agent_with_levels_that_was_saved_under_this_name_still_acts(
    market: Market, tmp_path: Path
) -> None:
    agent: Any = agents.make("choice_ppo", **CHOICE["choice_ppo"])
    agent.learn(market, PORTFOLIO, steps=128, seed=0)
    agent.save(tmp_path)
    path = tmp_path / "checkpoint.json"
    record = json.loads(path.read_text())
    record |= {"agent": "portfolio_ppo", "class": "agents.sb3.portfolio.ppo:PortfolioPPO"}
    path.write_text(json.dumps(record))
    again = agents.load(tmp_path)
    assert again.name == "choice_ppo"
