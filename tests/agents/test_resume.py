"""A training that was stopped and goes on ends with the very weights of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from agents import AgentError, Learner
from fundenv.market import Market, synthetic_market
from tests.agents.watching import Watching

SMALL: dict[str, dict[str, Any]] = {
    "ppo": {
        "n_envs": 8,
        "n_steps": 16,
        "batch_size": 64,
        "hidden": 8,
        "episode_days": 5,
        "imitate": 512,
        "counterfactual_rounds": 4,
    },
    "sac": {"n_envs": 4, "batch_size": 16, "hidden": 8, "learning_starts": 40, "episode_days": 5},
}
SMALL["ppo with crashes"] = SMALL["ppo"] | {"crash_share": 0.6}
SMALL["ppo with gsde"] = SMALL["ppo"] | {
    "kind": "continuous",
    "imitate": 0,
    "counterfactual_rounds": 0,
    "sde": True,
    "sde_sample_freq": 3,
}
SMALL["sac with gsde"] = SMALL["sac"] | {"kind": "zones", "sde": True, "sde_sample_freq": 4}
SMALL["ppo with a rule"] = SMALL["ppo"] | {
    "imitate": 0,
    "counterfactual_rounds": 0,
    "residual": "zscore entry=1.0 window=30",
    "crash_share": 0.6,
}
SMALL["ppo with a privileged critic"] = SMALL["ppo with crashes"] | {"critic": "privileged"}
STEPS = {"ppo": 640, "sac": 200}


def saving(agent: Learner, last: int, folder: Path) -> Watching:
    """A callback that ends the learning once `last` steps are done, and saves now and then as the
    scripts do.
    """

    def look(steps: int, batch: Any) -> bool:
        if steps % 56 == 0:
            agent.save(folder)
        return steps < last

    return Watching(look)


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def learner(name: str) -> Learner:
    agent = agents.make(name.split()[0], **SMALL[name])
    assert isinstance(agent, Learner)
    return agent


def weights(agent: Any) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in agent.model.policy.state_dict().items()}


@pytest.mark.parametrize("name", SMALL)
def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(
    name: str, market: Market, tmp_path: Path
) -> None:
    steps = STEPS[name.split()[0]]
    whole = learner(name)
    whole.learn(market, {}, steps=steps, seed=5)

    first = learner(name)
    first.learn(market, {}, steps=steps, seed=5, callback=saving(first, steps * 6 // 10, tmp_path))
    first.save(tmp_path)
    assert 0 < first.steps_done < steps
    np.random.default_rng(0)  # what happens in between must not matter
    learner(name).learn(market, {}, steps=128, seed=9)

    second = agents.load(tmp_path)
    assert isinstance(second, Learner)
    second.learn(market, {}, steps=steps, seed=5)
    assert second.steps_done == whole.steps_done
    for key, value in weights(whole).items():
        np.testing.assert_array_equal(weights(second)[key], value, err_msg=key)


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_diagnostics_that_a_watcher_stops_at_end_the_training_too_and_it_goes_on_as_if_not(
    name: str, market: Market
) -> None:
    steps = STEPS[name]
    whole, stopped = learner(name), learner(name)
    whole.learn(market, {}, steps=steps, seed=5)
    stopped.learn(
        market,
        {},
        steps=steps,
        seed=5,
        callback=Watching(update=lambda done, scalars: done < steps // 3),
    )
    assert steps // 3 <= stopped.steps_done < steps
    stopped.learn(market, {}, steps=steps, seed=5)
    assert stopped.steps_done == whole.steps_done
    for key, value in weights(whole).items():
        np.testing.assert_array_equal(weights(stopped)[key], value, err_msg=key)


@pytest.mark.parametrize("name", ["ppo", "ppo with gsde", "sac"])
@pytest.mark.parametrize("method", ["step", "update"])
def test_a_callback_that_answers_nothing_is_told_what_to_answer(
    name: str, method: str, market: Market
) -> None:
    with pytest.raises(
        AgentError,
        match=(
            rf"Watching.{method} returned None: a callback must return True to go on or False"
            r" to stop"
        ),
    ):
        learner(name).learn(
            market,
            {},
            steps=STEPS[name.split()[0]],
            seed=5,
            callback=Watching(**{method: lambda steps, seen: None}),
        )


def test_another_seed_ends_elsewhere(market: Market) -> None:
    one, other = learner("ppo"), learner("ppo")
    one.learn(market, {}, steps=128, seed=0)
    other.learn(market, {}, steps=128, seed=1)
    assert any((weights(one)[key] != value).any() for key, value in weights(other).items())
