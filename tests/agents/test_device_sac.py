"""SAC in tensors stores what stable-baselines3's own loop stores, learns, resumes, and its files
open there.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.logger import Logger

import agents
from agents.sb3.device.env import DevicePotential, on_host
from agents.training.hindsight_potential import Hindsight, Terms
from fundenv.market import Market, synthetic_market
from tests.agents.device_learners import of_assets, same_weights
from tests.agents.watching import until

SMALL: dict[str, Any] = {
    "n_envs": 8,
    "batch_size": 32,
    "hidden": 8,
    "learning_starts": 60,
    "buffer_size": 400,
    "episode_days": 3,
    "explore": 0.3,
}
ROW = ("observations", "next_observations", "actions", "rewards")


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def learned(
    market: Market, steps: int = 400, callback: Any = None, settings: Any = None, **more: Any
) -> Any:
    agent: Any = agents.make("device_sac", **SMALL | more)
    agent.learn(market, settings or {}, steps=steps, seed=4, callback=callback)
    return agent


def usual_steps(market: Market, actions: np.ndarray, settings: Any, **more: Any) -> Any:
    """SB3's replay buffer after SB3's loop has played `actions` (T, n, W) in the env of the agent
    `sac`.
    """
    agent: Any = agents.make("sac", **SMALL | more)
    agent.steps_wanted = len(actions) * SMALL["n_envs"]
    model = agent.build(agent.training_env(market, settings, 4), 4)
    model.set_logger(Logger(None, []))
    _, callback = model._setup_learn(agent.steps_wanted, None)
    given = iter(actions if more.get("kind") == "zones" else actions[:, :, 0])

    def next_actions(*args: Any) -> tuple[np.ndarray, np.ndarray]:
        chosen = next(given)
        return chosen, chosen

    model._sample_action = next_actions
    for _ in range(len(actions)):
        model.collect_rollouts(model.get_env(), callback, model.train_freq, model.replay_buffer)
    return model.replay_buffer


RUINOUS = {"fee_low": 20.0, "fee_high": 20.0}  # a trade or two cost more than the account may lose


@pytest.mark.parametrize(
    ("kind", "assets", "ruin"),
    [
        ("discrete", 1, False),
        ("zones", 1, False),
        ("discrete", 2, False),
        ("zones", 2, False),
        ("discrete", 1, True),
    ],
)
def test_the_replay_is_that_of_the_usual_loop(
    market: Market, kind: str, assets: int, ruin: bool
) -> None:
    """Same envs and actions: episodes of nine decisions end within it, so final observations and
    the marks of the time limit are in. Ruin is an end and a time limit is not.
    """
    played, settings = (
        of_assets(market, assets),
        {"ruin_fraction": 0.97} if ruin else {},
    )
    more: dict[str, Any] = {"kind": kind} | (RUINOUS if ruin else {})
    here, steps = learned(played, steps=320, settings=settings, **more).model.replay_buffer, 40
    usual = usual_steps(played, here.held["actions"][:steps].numpy(), settings, **more)
    ends, cuts = usual.dones[:steps].sum(), usual.timeouts[:steps].sum()
    assert 0 < cuts < ends if ruin else cuts == ends == 32
    for name in ROW:
        wanted = getattr(usual, name)[:steps].reshape(here.held[name][:steps].shape)
        np.testing.assert_allclose(
            here.held[name][:steps].numpy(), wanted, rtol=1e-5, atol=1e-5, err_msg=name
        )
    np.testing.assert_array_equal(
        here.held["dones"][:steps, :, 0].numpy(), (usual.dones * (1 - usual.timeouts))[:steps]
    )


def test_samples_are_rows_of_the_replay_and_all_of_them_are_drawn(market: Market) -> None:
    buffer = learned(market).model.replay_buffer
    stored = torch.cat(
        [buffer.held[name].reshape(400, -1)[:400].float() for name in (*ROW, "dones")], dim=1
    )
    batch = buffer.sample(20_000)
    drawn = torch.cat(
        [
            batch.observations,
            batch.next_observations,
            batch.actions.float(),
            batch.rewards,
            batch.dones,
        ],
        dim=1,
    )
    rows = {row.numpy().tobytes() for row in stored}
    assert {row.numpy().tobytes() for row in drawn} == rows


def test_a_full_replay_begins_again_at_its_start(market: Market) -> None:
    buffer = learned(market, steps=480).model.replay_buffer
    assert (buffer.full, buffer.pos, buffer.size()) == (True, 10, 50)


def test_it_explores_by_a_draw_for_every_environment(market: Market) -> None:
    """With exploration alone the actions of one step differ among environments; without it, equal
    observations act alike.
    """
    model = learned(market, explore=0.0).model
    obs = model.get_env().obs
    with torch.no_grad():
        greedy = model.greedy_or_drawn(obs)
    np.testing.assert_array_equal(
        greedy.numpy()[:, 0], model.predict(obs.numpy(), deterministic=True)[0]
    )
    mixed = (
        learned(market, explore=0.5, steps=1600, buffer_size=2000)
        .model.replay_buffer.held["actions"][100:, :, 0]
        .float()
    )
    assert (mixed.std(dim=1) > 0).float().mean() > 0.9


@pytest.mark.parametrize("kind", ["discrete", "zones"])
def test_a_checkpoint_opens_in_plain_stable_baselines3_and_learns_on_there(
    market: Market, tmp_path: Path, kind: str
) -> None:
    agent = learned(market, kind=kind)
    agent.save(tmp_path)
    usual: Any = agents.make("sac", **SMALL | {"kind": kind})
    env = usual.training_env(market, {}, 0)
    plain = (DQN if kind == "discrete" else SAC).load(tmp_path / "model.zip", env=env)
    assert type(plain) is (DQN if kind == "discrete" else SAC)
    obs = env.reset()
    np.testing.assert_array_equal(
        plain.predict(obs, deterministic=True)[0], agent.model.predict(obs, deterministic=True)[0]
    )
    plain.learn(160)
    assert plain.num_timesteps == 160
    again = agents.load(tmp_path)
    again.bind(env.batch)
    np.testing.assert_array_equal(again.act(obs), agent.act(obs))


@pytest.mark.parametrize("kind", ["discrete", "zones"])
def test_it_resumes_bit_by_bit_on_the_cpu(market: Market, tmp_path: Path, kind: str) -> None:
    whole = learned(market, kind=kind)
    learned(market, kind=kind, callback=until(240)).save(tmp_path)
    second: Any = agents.load(tmp_path)
    assert second.steps_done == 232
    second.learn(market, {}, steps=400, seed=4)
    assert second.model._episode_num == whole.model._episode_num > 0
    same_weights(whole, second)


def test_the_potential_on_the_device_is_that_of_the_host(market: Market) -> None:
    rng = np.random.default_rng(0)
    both = of_assets(market, 2)
    for played in (market, both):
        terms = Terms(
            *(
                rng.uniform(low, high, 3)
                for low, high in ((0, 2e-4), (5e-4, 2e-3), (0.5, 1.5), (-0.1, 0.1))
            )
        )
        n = 500
        host = Hindsight(
            played, bars=8, gamma=0.99, terms=terms, kind=rng.integers(0, 3, n), leverage=3.0
        )
        path = rng.integers(0, played.n_paths, n)
        row = played.paths[path, 0] + rng.integers(0, 4000, n)
        short = rng.standard_normal((n, played.n_assets)).astype(np.float32)
        device = DevicePotential(host, torch.device("cpu"))
        found = device(*map(torch.as_tensor, (path, row, short)))
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found.numpy(), host(path, row, short), rtol=1e-13)


def test_who_looks_on_sees_a_copy_of_a_batch_on_a_gpu() -> None:
    class There(np.ndarray):
        def copy_to_host(self) -> np.ndarray:
            return np.array(self)

    names = ("ledger", "trades", "reward", "obs", "actions")
    far = {name: np.full((2, 3), k, float).view(There) for k, name in enumerate(names)}
    store = SimpleNamespace(params=np.ones((1, 4)).view(There), legs=np.ones((2, 1, 4)).view(There))
    near = on_host(SimpleNamespace(**far, store=store, observation_table="table", config="config"))
    for k, name in enumerate(names):
        assert type(getattr(near, name)) is np.ndarray
        assert (getattr(near, name) == k).all()
    assert type(near.store.legs) is type(near.store.params) is np.ndarray
    assert (near.observation_table, near.config) == ("table", "config")
    plain = SimpleNamespace(ledger=np.zeros(1))
    assert on_host(plain) is plain
