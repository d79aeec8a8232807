"""PPO on the env's dials, and gSDE: what an action means, what is refused, who can read the files,
what the noise hangs on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agents
from agents import AgentError
from agents.sb3.ensemble import joined
from fundenv.batch.cpu import Batch
from fundenv.market import Market, synthetic_market
from tests.agents.refused import refused_in_one_line
from tests.agents.watching import Watching

DIALS: dict[str, Any] = {"kind": "continuous", "imitate": 0, "counterfactual_rounds": 0}
TINY: dict[str, Any] = DIALS | {
    "n_envs": 8,
    "n_steps": 16,
    "batch_size": 64,
    "hidden": 8,
    "learning_rate": 0.01,
}
GSDE: dict[str, Any] = {"sde": True, "log_std_init": -1.0}
ZONES: dict[str, Any] = {
    "kind": "zones",
    "n_envs": 4,
    "batch_size": 16,
    "hidden": 8,
    "learning_starts": 16,
    "buffer_size": 256,
    "sde": True,
}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def test_the_dials_reach_from_flat_to_full_carry_and_from_leverage_1_to_the_highest(
    market: Market,
) -> None:
    agent = agents.make("ppo", **DIALS, leverage_grid=(2.0, 3.0))
    batch = Batch(3, market=market, **agent.env_settings() | {"start_invested": 0.0})
    agent.bind(batch)
    names = [column.name for column in batch.observation_table]
    batch.reset(0)
    batch.step(np.array([[-1.0, 1.0], [1.0, 1.0], [0.5, -1.0]], np.float32))
    raw = {
        name: batch.obs[:, names.index(name)] * batch.observation_table[names.index(name)].scale
        for name in ("carry", "target_leverage")
    }
    np.testing.assert_allclose(raw["carry"], [0.0, 1.0, 0.5], atol=0.05)
    np.testing.assert_allclose(raw["target_leverage"], [3.0, 3.0, 1.0], atol=0.01)
    both = agents.make("ppo", **DIALS, carry_grid=(-1.0, 1.0), leverage_grid=(4.0,)).env_settings()
    assert (both["dials"], both["leverage"], both["allow_short_spot"]) == (("carry",), 4.0, True)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        (
            "ppo",
            {"kind": "continuous"},
            (
                "kind = 'continuous' has no gates that imitate = 60000 could start from; set"
                " imitate = 0"
            ),
        ),
        (
            "ppo",
            DIALS | {"counterfactual_rounds": 2},
            "kind = 'continuous' has no gates that counterfactual_rounds = 2 could start from; set"
            " counterfactual_rounds = 0",
        ),
        (
            "ppo",
            DIALS | {"hold_back": True},
            "has no gates that hold_back = True could start from; set hold_back = False",
        ),
        (
            "ppo",
            DIALS | {"carry_grid": (0.0, 0.5)},
            r"carry_grid = \(0.0, 0.5\): a continuous carry reaches up to 1",
        ),
        (
            "ppo",
            {"sde": True},
            "sde = True needs continuous actions; set kind = 'continuous'",
        ),
        (
            "sac",
            {"sde": True},
            "sde = True: discrete actions explore without an actor; set kind = 'zones'",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    name: str, params: dict[str, Any], said: str
) -> None:
    refused_in_one_line(name, params, said)


@pytest.mark.parametrize("noise", [{}, GSDE])
def test_a_saved_policy_acts_as_before_and_opens_in_plain_sb3(
    noise: dict[str, Any], market: Market, tmp_path: Path
) -> None:
    from stable_baselines3 import PPO

    agent: Any = agents.make("ppo", **TINY | noise)
    agent.learn(market, {}, steps=256, seed=0)
    agent.save(tmp_path)
    batch = Batch(64, market=market, **agent.env_settings())
    again: Any = agents.load(tmp_path)
    again.bind(batch)
    obs = batch.reset(1).copy()
    actions = again.act(obs)
    assert actions.shape == (64, 2)
    assert (np.abs(actions) <= 1).all()
    assert np.ptp(actions, axis=0).min() > 0
    np.testing.assert_array_equal(actions, agent.act(obs))
    np.testing.assert_array_equal(
        actions, PPO.load(tmp_path / "model.zip", device="cpu").predict(obs, deterministic=True)[0]
    )


def test_an_ensemble_takes_the_mean_of_the_gaussians_and_refuses_gates_beside_them(
    market: Market, tmp_path: Path
) -> None:
    members: list[Any] = []
    for seed, params in enumerate([TINY, TINY | GSDE, TINY | {"kind": "discrete"}]):
        members.append(agents.make("ppo", **params))
        members[-1].learn(market, {}, steps=128, seed=seed)
        members[-1].save(tmp_path / str(seed))
    both = joined([tmp_path / "0", tmp_path / "1"])
    batch = Batch(64, market=market, **both.env_settings())
    both.bind(batch)
    obs = batch.reset(1).copy()
    np.testing.assert_allclose(
        both.act(obs), (members[0].act(obs) + members[1].act(obs)) / 2, rtol=1e-6
    )
    with pytest.raises(
        AgentError,
        match="agent ppo_ensemble: its members have different kind, 'continuous' and 'discrete'",
    ):
        joined([tmp_path / "0", tmp_path / "2"])


@pytest.mark.parametrize("name", ["ppo", "device_ppo", "sac", "device_sac"])
def test_the_noise_of_gsde_is_drawn_for_every_environment_and_kept_for_some_steps(
    name: str, market: Market
) -> None:
    """Eight steps: PPO draws anew after four of a rollout of 16, SAC after four steps of all
    environments.
    """
    params = (TINY | GSDE if "ppo" in name else ZONES) | {"sde_sample_freq": 4}
    agent: Any = agents.make(name, **params)
    drawn: list[np.ndarray] = []

    def look(steps: int, batch: Any) -> bool:
        policy = getattr(agent.model, "actor", agent.model.policy)
        drawn.append(policy.action_dist.exploration_matrices.detach().numpy().copy())
        return True

    agent.learn(market, {}, steps=8 * params["n_envs"], seed=0, callback=Watching(look))
    assert len(drawn[0]) == params["n_envs"]
    assert np.ptp(drawn[0], axis=0).min() > 0
    for step in range(1, 8):
        assert (drawn[step] == drawn[step - 1]).all() == (step % 4 != 0)
