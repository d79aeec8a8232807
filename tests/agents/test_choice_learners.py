"""PPO and SAC on one capital: order and number of coins, masks, files, refused settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import agents
from agents import AgentError
from agents.sb3.portfolio.choices import CASH, COINS, STAY, Choices
from agents.sb3.portfolio.params import OBSERVE
from agents.sb3.portfolio.teacher import Teacher
from agents.training.portfolio_accounts import Answers
from agents.training.portfolio_counterfactual import merit
from agents.training.portfolio_imitation import imitate
from fundenv.batch.cpu import Batch
from fundenv.envs.portfolio import by_asset
from fundenv.market import Market, joint, synthetic_market
from fundenv.market.join import singles
from fundenv.market.split import stack
from tests.agents.watching import until

TINY: dict[str, dict[str, Any]] = {
    "choice_ppo": {
        "n_envs": 8,
        "n_steps": 16,
        "batch_size": 64,
        "hidden": 8,
        "episode_days": 10,
        "imitate": 256,
        "counterfactual_rounds": 2,
        "counterfactual_envs": 2,
        "counterfactual_days": 12,
    },
    "choice_sac": {
        "n_envs": 4,
        "batch_size": 16,
        "hidden": 8,
        "learning_starts": 40,
        "episode_days": 5,
    },
}
STEPS = {"choice_ppo": 512, "choice_sac": 240}
LEARNERS = tuple(TINY)
PORTFOLIO = {"margin_mode": "portfolio"}


def coins(count: int, seed: int = 3, years: float = 0.3) -> Market:
    """A joint market of `count` made coins with names of their own."""
    names = ["BTCUSDT", *(f"C{number}USDT" for number in range(1, count))]
    made = [
        replace(
            synthetic_market(("btc", "eth", "alt")[number % 3], years=years, seed=seed + number),
            symbols=((name,),),
        )
        for number, name in enumerate(names)
    ]
    return joint(stack(made), names)


@pytest.fixture(scope="module")
def market() -> Market:
    return coins(5)


@pytest.fixture(scope="module")
def trained(market: Market) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in LEARNERS:
        made[name] = agents.make(name, **TINY[name])
        made[name].learn(market, PORTFOLIO, steps=STEPS[name], seed=0)
        # weights far from those of a new network, so that every coin matters
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in made[name].model.policy.parameters():
                weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return made


def bound(agent: Any, market: Market, count: int = 16) -> Batch:
    batch = Batch(count, market=market, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    batch.reset(1)
    return batch


def walked(agent: Any, batch: Batch, steps: int = 12) -> np.ndarray:
    """Observations after some steps of random choices, so that coins are held."""
    rng = np.random.default_rng(0)
    choices = Choices(batch, agent.params.levels, (1.6,))
    zeros = np.zeros(batch.num_envs, int)
    for _ in range(steps):
        choice = rng.integers(0, choices.count, batch.num_envs)
        actions = choices.targets(batch.obs, choice, zeros)
        batch.step(actions)
    return batch.obs.copy()


def answers(agent: Any, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(of stay and cash, of the coins (n, A, L), values and the rest) of the networks."""
    seen, levels = torch.as_tensor(obs), len(agent.params.levels)
    with torch.no_grad():
        if agent.name == "choice_sac":
            said, rest = agent.model.q_net(seen), torch.zeros(len(seen), 1)
        else:
            logits = agent.model.policy.mlp_extractor.forward_actor(seen)
            said, bands = logits[:, :-2], logits[:, -2:]
            rest = torch.cat([bands, agent.model.policy.predict_values(seen)], dim=1)
    rows = said[:, 2:].reshape(len(seen), -1, levels)
    return said[:, :2].numpy(), rows.numpy(), rest.numpy()


@pytest.mark.parametrize("name", LEARNERS)
def test_what_is_computed_does_not_depend_on_the_order_of_the_coins(
    name: str, market: Market, trained: dict[str, Any]
) -> None:
    agent = trained[name]
    batch = bound(agent, market)
    obs = walked(agent, batch)
    rows, _ = by_asset(np.arange(obs.shape[1]), 5, OBSERVE)
    order = np.array([3, 0, 4, 2, 1])
    mixed = obs.copy()
    mixed[:, rows.ravel()] = obs[:, rows[order].ravel()]
    first, each, rest = answers(agent, obs)
    then, moved, also = answers(agent, mixed)
    np.testing.assert_allclose(moved, each[:, order], atol=1e-4)
    np.testing.assert_allclose(then, first, atol=1e-4)
    np.testing.assert_allclose(also, rest, atol=1e-4)
    assert np.abs(each - each[:, order]).max() > 0.01  # the coins are told apart


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("count", [1, 3, 10])
def test_it_acts_on_any_number_of_coins_and_leaves_those_alone_that_do_not_trade(
    name: str, count: int, trained: dict[str, Any]
) -> None:
    agent = trained[name]
    wide = coins(count)
    batch = bound(agent, wide)
    actions = agent.act(batch.obs)
    assert actions.shape == (16, 4 * count + 1)
    batch.step(actions)
    closed = batch.obs.copy()
    names = [column.name for column in batch.observation_table]
    masked = [i for i, each in enumerate(names) if each.split(":")[-1] == "available"]
    closed[:, masked[-1]] = 0.0  # the last coin
    _, each, _ = answers(agent, closed)
    for greedy in (True, False):
        asked = agent.act(closed, deterministic=greedy).reshape(16, -1)[:, :-1]
        last = asked.reshape(16, count, 4)[:, -1]
        np.testing.assert_array_equal(last[:, 0], 1)  # no order
        np.testing.assert_array_equal(last[:, 1], 0)
    if name == "choice_ppo":
        assert (each[:, -1] < -1e6).all()


def test_a_coin_that_is_not_listed_yet_changes_nothing_but_the_width(
    market: Market, trained: dict[str, Any]
) -> None:
    agent = trained["choice_ppo"]
    batch = bound(agent, market)
    obs = walked(agent, batch)
    rows, account = by_asset(np.arange(obs.shape[1]), 5, OBSERVE)
    absent = obs.copy()
    absent[:, rows[1]] = 0.0
    four = np.delete(np.arange(5), 1)
    width = 4 * rows.shape[1] + len(account)
    less = np.empty((len(obs), width), np.float32)
    new_rows, new_account = by_asset(np.arange(width), 4, OBSERVE)
    less[:, new_rows.ravel()] = obs[:, rows[four].ravel()]
    less[:, new_account] = obs[:, account]
    first, each, rest = answers(agent, absent)
    then, others, also = answers(agent, less)
    np.testing.assert_allclose(each[:, four], others, atol=1e-4)
    np.testing.assert_allclose(first, then, atol=1e-4)
    np.testing.assert_allclose(rest, also, atol=1e-4)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_saved_learner_acts_as_before_and_opens_in_plain_sb3(
    name: str, market: Market, trained: dict[str, Any], tmp_path: Path
) -> None:
    import stable_baselines3

    from agents.sb3.portfolio.taught import TaughtQ

    agent = trained[name]
    bound(agent, coins(2))  # the last env does not change what is written
    agent.save(tmp_path)
    again: Any = agents.load(tmp_path)
    batch = bound(again, market, 32)
    bound(agent, market, 32)
    obs = walked(again, batch)
    np.testing.assert_array_equal(again.act(obs), agent.act(obs))
    for kind in (
        (stable_baselines3.PPO,) if name == "choice_ppo" else (stable_baselines3.DQN, TaughtQ)
    ):
        model: Any = kind.load(tmp_path / "model.zip", device="cpu")
        said = model.predict(obs, deterministic=True)[0].reshape(32, -1)
        choice, _ = again.decide(torch.as_tensor(obs), True)
        np.testing.assert_array_equal(said[:, 0], choice)


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
    first.save(tmp_path)
    second: Any = agents.load(tmp_path)
    second.learn(market, PORTFOLIO, steps=steps, seed=5)
    assert second.steps_done == whole.steps_done
    for key, value in whole.model.policy.state_dict().items():
        np.testing.assert_array_equal(second.model.policy.state_dict()[key], value, err_msg=key)


def test_a_policy_that_has_imitated_a_rule_gives_its_orders(market: Market) -> None:
    params = TINY["choice_ppo"] | {"hidden": 32, "funding_low": 1.0, "n_envs": 16}
    agent: Any = agents.make("choice_ppo", **params)
    env = agent.training_env(market, PORTFOLIO, seed=0)
    model = agent.build(env, 0)
    model.set_random_seed(0)
    teacher = Teacher("rotation leverage=2 band=0.5", env.batch, agent.choices)
    stays, orders = imitate(model, teacher, samples=6000, seed=0)
    env.close()
    assert stays > 0.7
    assert orders > 0.3  # one of 22 choices, and 0 where the policy learned to stay for ever


def test_one_coin_in_portfolio_margin_has_the_same_heads() -> None:
    one = stack(singles(coins(3)))  # three accounts of one coin each
    agent: Any = agents.make("choice_ppo", **TINY["choice_ppo"])
    agent.learn(one, PORTFOLIO, steps=256, seed=0)
    batch = Batch(3, market=one, random_start=False, **PORTFOLIO | agent.env_settings())
    agent.bind(batch)
    batch.reset(0)
    assert agent.act(batch.obs).shape == (3, 5)
    assert agent.model.action_space.nvec.tolist() == [2 + 4, 2]


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
    agent: Any = agents.make("choice_ppo", **TINY["choice_ppo"] | {"fewest_coins": 2})
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
    agent: Any = agents.make("choice_ppo", **TINY["choice_ppo"] | {"scarce_share": 0.25})
    env = agent.training_env(market, PORTFOLIO, seed=1)
    given = agent.training_inputs[3]
    env.close()
    rates, pools = given["quote_borrow_rate"], given["quote_supply"]
    assert len(np.unique(rates)) == 8
    assert 0.5 * 0.073 < rates.min() < rates.max() < 1.5 * 0.073
    assert (pools > 0).sum() == 2
    assert (pools[pools > 0] >= 3e5).all()


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("choice_ppo", {"levels": (1.0, 0.5)}, "levels = .* does not rise"),
        ("choice_ppo", {"levels": ()}, "levels"),
        ("choice_ppo", {"bands": (4.0, 1.6)}, "bands = .* does not rise"),
        ("choice_ppo", {"shaping": True}, "shaping = True .* set shaping = False"),
        ("choice_ppo", {"start_invested": 0.5}, "start_invested = 0.5 .*set start_invested"),
        ("choice_sac", {"teacher": "ewma"}, "ewma is no rule of one capital; choose one of"),
        ("choice_ppo", {"teacher": "rotation span"}, "after the rule, span: expected NAME=VALU"),
        ("choice_ppo", {"teacher": "rotation spam=1"}, "rotation has no parameter 'spam'"),
        ("choice_sac", {"borrow_low": 2.0}, "borrow_low = 2.0 is above borrow_high = 1.5"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    name: str, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(AgentError, match=said) as error:
        agents.make(name, **params)
    assert "\n" not in str(error.value)


def test_an_env_that_does_not_fit_is_refused(market: Market, trained: dict[str, Any]) -> None:
    agent = trained["choice_ppo"]
    with pytest.raises(AgentError, match="they differ in available, borrow_cost"):
        agent.bind(Batch(1, market=market, actions="target"))
    settings = agent.env_settings() | {"capital": "parts"}
    with pytest.raises(AgentError, match="needs an env with capital = 'shared'"):
        agent.bind(Batch(1, market=market, **settings))
    with pytest.raises(AgentError, match="has not learned yet"):
        agents.make("choice_sac").act(np.zeros((1, 10), np.float32))


def test_values_of_choices_are_those_of_every_schedule_played_out() -> None:
    """Against all schedules of three decisions over cash and two coins, one by one."""
    rng = np.random.default_rng(2)
    length, states = 3, 3
    record = Answers(
        obs=np.zeros((length, 1, states, 1), np.float32),
        gain=rng.normal(size=(length, 1, states)).astype(np.float32),
        liquidated=np.zeros((length, 1, states), bool),
        held=np.array([[[0.0, 0.9, 0.4]]] * length, np.float32),
        asked=np.array([[0.0, 1.0, 0.5]], np.float32),
        cost=np.array([2.0], np.float32),
        coin=np.array([-1, 0, 1]),
    )
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
