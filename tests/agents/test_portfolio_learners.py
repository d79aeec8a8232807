"""PPO and SAC that steer margin carry: untrained the rule, paired rewards, order and number of
coins, files, selection, refused settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents import AgentError
from agents.margin.dials import DIALS, DialledCarry
from agents.margin.episodes import Played, merits
from agents.margin.params import LearnedMarginParams
from agents.sb3.portfolio.params import OBSERVE
from agents.sb3.portfolio.selection import SCALES, judged, parts, verdict
from experiments.studies.portfolio_walks import PORTFOLIO as STUDY
from experiments.studies.portfolio_walks import walk
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.envs.portfolio import by_asset
from fundenv.market import Market, narrowed
from fundenv.market.join import singles
from fundenv.market.split import stack
from tests.agents.test_choice_learners import PORTFOLIO, coins
from tests.agents.watching import until

COMMON = {"hidden": 8, "episode_days": 5, "crash_share": 0.0, "n_steps": 8}
TINY: dict[str, dict[str, Any]] = {
    "portfolio_ppo": COMMON | {"n_envs": 8, "batch_size": 64},
    "portfolio_sac": COMMON | {"n_envs": 4, "batch_size": 16, "gradient_steps": 4},
}
STEPS = {"portfolio_ppo": 256, "portfolio_sac": 160}
LEARNERS = tuple(TINY)


@pytest.fixture(scope="module")
def market() -> Market:
    return coins(5)


@pytest.fixture(scope="module")
def trained(market: Market) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in LEARNERS:
        made[name] = agents.make(name, **TINY[name], select=False)
        made[name].learn(market, PORTFOLIO, steps=STEPS[name], seed=0)
        # weights far from those of the rule, so that every coin matters
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in made[name].model.policy.parameters():
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return made


def untrained(name: str, market: Market, **params: Any) -> Any:
    agent: Any = agents.make(name, **TINY[name] | params)
    env = agent.training_env(market, PORTFOLIO, seed=0)
    agent.build(env, 0)
    env.close()
    return agent


def acted(agent: Any, market: Market, steps: int = 60, count: int = 8) -> np.ndarray:
    """Actions of every decision."""
    terms = {"cash_rate": np.linspace(-0.02, 0.04, count)}
    batch = Batch(count, market=market, per_env=terms, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    agent.reset()
    batch.reset(1)
    found = []
    for _ in range(steps):
        found.append(np.array(agent.act(batch.obs)))
        batch.step(found[-1])
    return np.array(found)


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
    agent: Any = agents.make("portfolio_ppo", **TINY["portfolio_ppo"] | {"small": 10.0})
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
    order = [3, 0, 4, 2, 1]
    said = acted(trained[name], market)
    moved = narrowed(market, tuple(market.symbols[0][i] for i in order))
    told = acted(trained[name], moved)
    first, then = (each.reshape(*each.shape[:2], 5, 4) for each in (said, told))
    assert (first[..., 0] == 0).any()  # orders
    np.testing.assert_allclose(then, first[:, :, order], atol=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_the_state_moves_the_dials_and_a_coin_that_is_not_listed_does_not(
    name: str, market: Market, trained: dict[str, Any]
) -> None:
    agent = trained[name]
    batch = Batch(16, market=market, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    batch.reset(1)
    obs = batch.obs.copy()
    rows, account = by_asset(np.arange(obs.shape[1]), 5, OBSERVE)
    absent = obs.copy()
    absent[:, rows[1]] = 0.0
    four = np.delete(np.arange(5), 1)
    width = 4 * rows.shape[1] + len(account)
    less = np.empty((len(obs), width), np.float32)
    new_rows, new_account = by_asset(np.arange(width), 4, OBSERVE)
    less[:, new_rows.ravel()] = obs[:, rows[four].ravel()]
    less[:, new_account] = obs[:, account]
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
    batch = Batch(8, market=market, **PORTFOLIO | again.env_settings())
    again.bind(batch)
    batch.reset(2)
    kind: Any = getattr(stable_baselines3, name.removeprefix("portfolio_").upper())
    model = kind.load(tmp_path / "model.zip", device="cpu")
    said = model.predict(batch.obs, deterministic=True)[0]
    np.testing.assert_allclose(said, again.dials(batch.obs), atol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(
    name: str, market: Market, tmp_path: Path
) -> None:
    steps = STEPS[name]
    whole: Any = agents.make(name, **TINY[name])
    whole.learn(market, PORTFOLIO, steps=steps, seed=5)
    first: Any = agents.make(name, **TINY[name])
    first.learn(market, PORTFOLIO, steps=steps, seed=5, callback=until(steps * 6 // 10))
    assert 0 < first.steps_done < steps
    assert first.verdict is None
    first.save(tmp_path)
    second: Any = agents.load(tmp_path)
    second.learn(market, PORTFOLIO, steps=steps, seed=5)
    assert second.steps_done == whole.steps_done
    assert second.verdict == whole.verdict
    for key, value in whole.model.policy.state_dict().items():
        np.testing.assert_array_equal(second.model.policy.state_dict()[key], value, err_msg=key)


def test_each_path_of_one_coin_is_an_account_too() -> None:
    one = stack(singles(coins(3)))
    agent: Any = agents.make("portfolio_ppo", **TINY["portfolio_ppo"])
    agent.learn(one, PORTFOLIO, steps=64, seed=0)
    batch = Batch(3, market=one, random_start=False, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    batch.reset(0)
    assert agent.act(batch.obs).shape == (3, 4)


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
    agent: Any = agents.make("portfolio_ppo", **TINY["portfolio_ppo"])
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
    if told["selection/fallback"]:
        assert not agent.dials(np.ones((1, agent.width), np.float32)).any()
    assert "half-years" in agent.verdict


def test_the_selection_compares_what_walks_of_the_rules_earn(market: Market) -> None:
    """A policy that moves one dial by its reach is the rule with another parameter."""
    params: Any = agents.make("portfolio_ppo", **TINY["portfolio_ppo"], fewest_coins=5).params
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
    nothing, no_error = found(0.0 * less)
    assert not nothing.any()
    assert not no_error.any()
    assert error.shape == (len(SCALES),)


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
    with pytest.raises(AgentError, match=said) as error:
        agents.make(name, **params)
    assert "\n" not in str(error.value)


def test_an_agent_with_levels_that_was_saved_under_this_name_still_acts(
    market: Market, tmp_path: Path
) -> None:
    from tests.agents.test_choice_learners import TINY as CHOICES

    agent: Any = agents.make("choice_ppo", **CHOICES["choice_ppo"])
    agent.learn(market, PORTFOLIO, steps=128, seed=0)
    agent.save(tmp_path)
    path = tmp_path / "checkpoint.json"
    record = json.loads(path.read_text())
    record |= {"agent": "portfolio_ppo", "class": "agents.sb3.portfolio.ppo:PortfolioPPO"}
    path.write_text(json.dumps(record))
    again = agents.load(tmp_path)
    assert again.name == "choice_ppo"
