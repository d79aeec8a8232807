"""The accounts of the warm start see one path and are paid what the environment pays; a policy
grows on them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import agents
from agents import Learner
from agents.training.counterfactual import FLAT
from agents.training.counterfactual_accounts import CounterfactualAccounts
from agents.training.counterfactual_training import train_policy
from agents.training.hindsight_potential import first_decisions
from agents.training.imitation import ON
from agents.training.randomisation import EnvTerms
from fundenv.market import Market, joint, splice, synthetic_market
from fundenv.market.synthetic.shocks import Shock
from tests.agents.watching import Watching, until

LEVERAGES = (2.0, 3.0)


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.5, paths=2, seed=4)


def training_on(
    market: Market, leverages: tuple[float, ...] = LEVERAGES, **settings: Any
) -> CounterfactualAccounts:
    terms = EnvTerms(np.linspace(0.0, 0.06, 8), np.ones(8), np.ones(8), np.zeros(8))
    given = {"actions": "target", "episode": "20D", "random_start": True, "keeper_interval": None}
    return CounterfactualAccounts(
        market, given | settings, terms, leverages=leverages, liquidation=0.1
    )


def column(training: CounterfactualAccounts, name: str) -> int:
    return [column.name for column in training.envs[FLAT].batch.observation_table].index(name)


def test_what_who_enters_is_paid_is_what_the_env_pays_to_a_fiftieth_of_a_thousandth(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The formula, which an account that stays on needs only where it was liquidated."""
    paid = training_on(market).play(1)
    monkeypatch.setattr(CounterfactualAccounts, "_paid", lambda self, part, held, rewards: part)
    formula = training_on(market).play(1)
    apart = (paid.gain - formula.gain)[:-1]
    assert apart.std() < 0.02
    assert np.corrcoef(paid.gain[:-1].ravel(), formula.gain[:-1].ravel())[0, 1] > 0.999
    assert apart.mean() == pytest.approx(0.0, abs=0.3 * paid.gain.std() / np.sqrt(len(apart)))


@pytest.mark.parametrize("assets", [1, 2])
def test_gains_of_all_legs_are_what_the_env_pays_above_the_flat_account_with_a_keeper(
    market: Market, assets: int
) -> None:
    """But where an account is liquidated, which is charged."""
    walked = market if assets == 1 else joint(market, [names[0] for names in market.symbols])
    training = training_on(walked, keeper_interval="1h", episode="30D")
    rewards: list[Any] = [[] for _ in training.envs]

    def listen(to: int, real: Any) -> Any:
        answer = real()
        rewards[to].append(answer[1])
        return answer

    for to, env in enumerate(training.envs):
        env.step_wait = partial(listen, to, env.step_wait)  # type: ignore[method-assign]
    record = training.play(2)
    paid = np.moveaxis(np.array(rewards[1:]) - np.array(rewards[FLAT]), 0, -1)
    held = np.moveaxis(record.inside[1:], 0, -1) & ~record.liquidated.any(axis=2)
    assert held.mean() > 0.9
    np.testing.assert_allclose((record.gain + record.due).sum(axis=2)[held], paid[held], atol=1e-5)
    training.close()


@pytest.mark.parametrize("level", [0, 1])
def test_all_accounts_see_one_path_and_the_gain_is_what_the_env_pays(
    market: Market, level: int
) -> None:
    """All of it, but for what the flat account is paid on its cash and for 32 bits."""
    training = training_on(market)
    rewards: tuple[list[Any], ...] = [], []

    def listen(to: int, real: Any) -> Any:
        answer = real()
        rewards[to].append(answer[1])
        return answer

    for to, env in enumerate((training.envs[FLAT], training.envs[1 + level])):
        env.step_wait = partial(listen, to, env.step_wait)  # type: ignore[method-assign]
    record = training.play(1)
    for name in ("funding_ewma_90", "volatility_7d", "cash_rate"):
        at = column(training, name)
        for obs in record.obs[1:]:
            np.testing.assert_array_equal(record.obs[FLAT, ..., at], obs[..., at])
    carry, target = (
        record.obs[..., column(training, name)] for name in ("carry", "target_leverage")
    )
    assert not carry[FLAT].any()
    assert (carry[1:] > 0.3).all()
    np.testing.assert_allclose(target[1 + level], LEVERAGES[level] / 10, rtol=1e-5)
    assert not record.liquidated.any()
    assert record.inside.all()
    flat, paid = np.array(rewards)
    # thousandths
    np.testing.assert_allclose((record.gain + record.due)[:, :, 0, level], paid - flat, atol=1e-5)
    training.close()


def test_nothing_counts_after_the_end_of_an_episode(market: Market) -> None:
    training = training_on(market, episode="5D")
    training.length = 20
    record = training.play(0)
    assert record.tradable[:15].all()
    assert not record.tradable[15:].any()
    assert not record.gain[15:].any()
    assert not record.due[15:].any()
    training.close()


def test_a_liquidation_is_charged_and_who_was_struck_comes_back_hedged(market: Market) -> None:
    """A rally by a quarter within an hour: leverage 5 does not survive it, leverage 2 does."""
    rally = Shock(
        "rally",
        "made up",
        (0.0,) * 7 + (25.0,) + (0.0,) * 8,
        {},
        {},
        (0.0,),
        1.0,
        (0.0,),
        None,
        (1.0,),
    )
    # its eighth bar ends at a decision
    rows = first_decisions(market, 8) - market.paths[:, 0] + 8 * 150
    training = training_on(splice(market, rally, at=rows.tolist()), (2.0, 5.0), episode="60D")
    records = [training.play(seed) for seed in range(2)]
    liquidated, gain = (
        np.concatenate([getattr(record, name) for record in records], axis=1)[..., 0, :]
        for name in ("liquidated", "gain")
    )
    assert liquidated[..., 1].any()
    assert not liquidated[..., 0].any()
    lost = gain[
        ...,
        1,
        # thousandths of equity: a tenth of the notional, which was 5/6 of the equity or less after
        # some drift
    ][liquidated[..., 1]]
    assert (lost < -40).all()
    assert (lost > -130).all()
    obs = np.concatenate([record.obs[2] for record in records], axis=1)
    assert (obs[..., column(training, "pending")] != 0).any()
    held = obs[..., column(training, "carry")] > 0.02
    assert held[-20:].any()
    assert obs[held][:, column(training, "hedge_ratio")].max() < 1.1
    training.close()


def test_counterfactual_training_grows_a_policy_and_tells_the_callback() -> None:
    grown: list[float] = []

    def look(steps: int, scalars: dict[str, float]) -> bool:
        grown.append(scalars["counterfactual/expected_growth"])
        return len(grown) < 12

    agent: Any = agents.make("ppo", n_envs=32, hidden=16, episode_days=30)
    agent.steps_wanted = 32
    model = agent.build(agent.training_env(synthetic_market(years=1.0, paths=2, seed=2), {}, 0), 0)
    training, watch = (
        CounterfactualAccounts(
            *agent.training_inputs, leverages=agent.params.leverage_grid, liquidation=0.1
        ),
        Watching(update=look),
    )
    done = train_policy(
        model,
        training,
        episodes=20,
        seed=0,
        learning_rate=3e-3,
        entropy=0.0,
        scale=0.5,
        shaped=True,
        callback=watch,
    )
    assert not done  # the callback stopped it
    assert len(grown) == 12
    assert np.mean(grown[-3:]) > np.mean(grown[:3]) + 0.01
    training.close()


def test_the_warm_start_refuses_carries_that_it_does_not_know(market: Market) -> None:
    agent: Any = agents.make("ppo", n_envs=8, carry_grid=[-1.0, 0.0, 1.0])
    with pytest.raises(
        agents.AgentError,
        match=r"carry_grid = \(-1.0, 0.0, 1.0\): the warm start knows off and full carry",
    ):
        agent.learn(market, {}, steps=64, seed=0)


def test_the_head_start_of_a_leverage_goes_to_the_leverage_named(market: Market) -> None:
    agent: Any = agents.make(
        "ppo",
        n_envs=8,
        hidden=8,
        leverage_grid=[2.0, 3.0, 4.0],
        imitate_leverage=4.0,
        leverage_bias=5.0,
    )
    agent.steps_wanted = 8
    model = agent.build(agent.training_env(market, {}, 0), 0)
    assert model.policy.action_net.bias.detach().tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 5.0]
    assert model.policy.action_net.bias.detach()[ON] == 0.0


def test_a_training_stopped_in_its_warm_start_begins_anew_and_is_the_same() -> None:
    market = synthetic_market(years=0.5, paths=2, seed=2)
    small: dict[str, Any] = {
        "n_envs": 8,
        "n_steps": 8,
        "hidden": 8,
        "episode_days": 10,
        "imitate": 200,
        "counterfactual_rounds": 3,
    }

    whole, stopped = (agents.make("ppo", **small) for _ in range(2))
    assert isinstance(whole, Learner)
    assert isinstance(stopped, Learner)
    whole.learn(market, {}, steps=64, seed=1)
    stopped.learn(
        market, {}, steps=64, seed=1, callback=Watching(update=lambda steps, scalars: False)
    )
    assert stopped.steps_done == 0
    stopped.learn(market, {}, steps=64, seed=1)
    seen = (
        np.random.default_rng(0)
        .standard_normal((50, len(whole.provenance.observations)))
        .astype(np.float32)
    )
    for one, other in zip(whole.heads(seen), stopped.heads(seen), strict=True):  # type: ignore[attr-defined]
        np.testing.assert_array_equal(one.detach(), other.detach())


def test_a_training_of_one_step_is_its_warm_start_alone() -> None:
    """What `--steps 1` is for: one rollout is taken, and the learning rate is 0 when it ends."""
    market = synthetic_market(years=0.5, paths=2, seed=2)
    warm, one, two = (
        agents.make(
            "ppo",
            n_envs=8,
            n_steps=8,
            hidden=8,
            episode_days=10,
            imitate=200,
            counterfactual_rounds=3,
        )
        for _ in range(3)
    )
    for agent, steps, callback in ((warm, 64, until(0)), (one, 1, None), (two, 65, None)):
        assert isinstance(agent, Learner)
        agent.learn(market, {}, steps=steps, seed=1, callback=callback)
    assert one.steps_done == 64  # type: ignore[attr-defined]
    weights, same, others = (
        list(agent.model.policy.state_dict().values()) for agent in (warm, one, two)
    )  # type: ignore[attr-defined]
    assert all((x == y).all() for x, y in zip(weights, same, strict=True))
    assert not all((x == y).all() for x, y in zip(weights, others, strict=True))
