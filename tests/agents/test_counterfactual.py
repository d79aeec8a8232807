"""The exact gradient of both gates: it is the derivative of the expected growth, and what it counts is what the environment pays."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import agents
from agents._counterfactual import FLAT, INVESTED, Rehearsal, Tape, merits, rehearse
from agents._imitate import ON
from agents._sb3_terms import EnvTerms
from fundenv.market import Market, synthetic_market

STEPS = 4


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.5, paths=2, seed=4)


def tape_of(rng: np.random.Generator) -> Tape:
    """Four decisions of one environment with one asset; orders of the second are not filled."""
    gain, due = rng.standard_normal((2, STEPS, 1, 1)).astype(np.float32)
    free = np.arange(STEPS)[:, None, None] != 1
    return Tape(np.zeros((2, STEPS, 1, 3), np.float32), gain, due, np.array([0.7], np.float32), free)


def enumerated(enter: Any, stay: Any, tape: Tape, invested: bool) -> float:
    """Expected growth by playing all sequences of positions, each with its chance."""
    total = 0.0
    for sequence in itertools.product((0, 1), repeat=STEPS):
        chance, growth, held = 1.0, 0.0, int(invested)
        for k, wanted in enumerate(sequence):
            on = float(stay[k, 0, 0] if held else enter[k, 0, 0]) if tape.free[k, 0, 0] else float(held)
            chance *= on if wanted else 1 - on
            growth += held * tape.due[k, 0, 0] + wanted * tape.gain[k, 0, 0] - 0.7 * (wanted != held)
            held = wanted
        total += chance * growth
    return total


@pytest.mark.parametrize("invested", [False, True])
def test_merits_are_the_derivatives_of_the_growth_over_all_sequences(invested: bool) -> None:
    rng = np.random.default_rng(3)
    tape, chances = tape_of(rng), rng.random((2, STEPS, 1, 1))
    start = np.array([invested])
    worth = merits(*chances, tape, start)
    assert worth.growth * STEPS == pytest.approx(enumerated(*chances, tape, invested), abs=1e-5)
    for which, merit in enumerate(worth[:2]):
        for k in range(STEPS):
            moved = chances.copy()
            moved[which, k] += 1e-3
            slope = (enumerated(*moved, tape, invested) - enumerated(*chances, tape, invested)) / 1e-3
            assert merit[k, 0, 0] == pytest.approx(slope, abs=1e-3)
    assert np.ptp(worth.enter) > 0.05  # or the comparison says little
    assert np.ptp(worth.stay) > 0.05


def rehearsal_on(market: Market, **settings: Any) -> Rehearsal:
    terms = EnvTerms(np.linspace(0.0, 0.06, 8), np.ones(8), np.ones(8), np.zeros(8))
    given = {"actions": "target", "episode": "20D", "random_start": True, "keeper_interval": None}
    return Rehearsal(market, given | settings, terms)


def test_both_accounts_see_one_path_and_the_gain_is_what_the_env_pays(market: Market) -> None:
    """Steps after the first (which pays for nothing: the account begins invested), per unit of notional held."""
    rehearsal = rehearsal_on(market)
    names = [column.name for column in rehearsal.envs[FLAT].batch.observation_table]
    rewards: list[Any] = []
    real = rehearsal.envs[INVESTED].step_wait

    def listen() -> Any:
        answer = real()
        rewards.append(answer[1])
        return answer

    rehearsal.envs[INVESTED].step_wait = listen  # type: ignore[method-assign]
    tape = rehearsal.play(1)
    for name in ("funding_ewma_90", "volatility_7d", "cash_rate"):
        np.testing.assert_array_equal(tape.obs[FLAT, ..., names.index(name)], tape.obs[INVESTED, ..., names.index(name)])
    carry = tape.obs[..., names.index("carry")]
    assert not carry[FLAT].any()
    assert (carry[INVESTED] > 0.3).all()
    paid, wanted = np.array(rewards)[:-1], (tape.gain + tape.due)[:-1, :, 0]
    assert np.corrcoef(paid.ravel(), wanted.ravel())[0, 1] > 0.9
    assert paid.mean() == pytest.approx(wanted.mean(), abs=0.3 * wanted.std() / np.sqrt(len(wanted)))
    rehearsal.close()


def test_nothing_counts_after_the_end_of_an_episode(market: Market) -> None:
    rehearsal = rehearsal_on(market, episode="5D")
    rehearsal.length = 20
    tape = rehearsal.play(0)
    assert tape.free[:14].all()
    assert not tape.free[15:].any()
    assert not tape.gain[15:].any()
    assert not tape.due[16:].any()
    rehearsal.close()


def test_a_policy_grows_by_rehearsal_and_tells_the_watcher() -> None:
    class Watch:
        grown: list[float] = []

        def step(self, steps: int, batch: Any) -> bool:
            return True

        def update(self, steps: int, scalars: dict[str, float]) -> None:
            self.grown.append(scalars["rehearsal/expected_growth"])

    agent: Any = agents.make("ppo", n_envs=32, hidden=16, episode_days=30)
    agent.steps_wanted = 32
    model = agent.build(agent.training_env(synthetic_market(years=1.0, paths=2, seed=2), {}, 0), 0)
    rehearsal, watch = Rehearsal(*agent.course), Watch()
    last = rehearse(model, rehearsal, episodes=12, seed=0, learning_rate=3e-3, entropy=0.0, watcher=watch)
    assert len(watch.grown) == 12
    assert last == watch.grown[-1]
    assert np.mean(watch.grown[-3:]) > np.mean(watch.grown[:3]) + 0.01
    rehearsal.close()


def test_the_warm_start_refuses_carries_that_it_does_not_know(market: Market) -> None:
    agent: Any = agents.make("ppo", n_envs=8, carry_grid=[-1.0, 0.0, 1.0])
    with pytest.raises(agents.AgentError, match=r"carry_grid = \(-1.0, 0.0, 1.0\): the warm start knows off and full carry"):
        agent.learn(market, {}, steps=64, seed=0)


def test_the_head_start_of_a_leverage_goes_to_the_leverage_named(market: Market) -> None:
    agent: Any = agents.make("ppo", n_envs=8, hidden=8, leverage_grid=[2.0, 3.0, 4.0], imitate_leverage=4.0, leverage_bias=5.0)
    agent.steps_wanted = 8
    model = agent.build(agent.training_env(market, {}, 0), 0)
    assert model.policy.action_net.bias.detach().tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 5.0]
    assert model.policy.action_net.bias.detach()[ON] == 0.0
