"""The tensor face: same numbers as the batch, nothing copied, clear about what is overwritten
when.
"""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fundenv.batch.cpu import Batch  # noqa: E402
from fundenv.config import ConfigError  # noqa: E402
from fundenv.dynamics import types as t  # noqa: E402
from fundenv.envs.torch import FundingHedgeTorchEnv  # noqa: E402

SETTINGS = {"episode": "30D", "decision_interval": "8h"}


def play(steps: int = 120) -> tuple[FundingHedgeTorchEnv, Batch, list[bool]]:
    """Both faces with the same seed and actions; yields after every step through the returned list
    of comparisons.
    """
    env, batch = FundingHedgeTorchEnv(5, **SETTINGS), Batch(5, autoreset="same_step", **SETTINGS)
    obs, _ = env.reset(seed=3)
    same = [np.array_equal(obs.numpy(), batch.reset(3))]
    rng = np.random.default_rng(0)
    for _ in range(steps):
        actions = rng.uniform(-1, 1, (5, 3)).astype(np.float32)
        obs, reward, terminated, truncated, final_obs, info = env.step(torch.from_numpy(actions))
        batch.step(actions)
        pairs = [
            (obs, batch.obs),
            (reward, batch.reward.astype(np.float32)),
            (terminated, batch.terminated),
            (truncated, batch.truncated),
            (final_obs, batch.final_obs),
            (info["parts"], batch.ledger[:, : t.N_PARTS]),
            (info["equity"], batch.store.account[:, t.EQUITY]),
            (info["episode_length"], batch.final_stats[:, 1]),
        ]
        same += [np.array_equal(a.numpy(), b) for a, b in pairs]
    return env, batch, same


def test_tensors_hold_the_numbers_of_the_batch_and_episodes_end() -> None:
    env, _, same = play()
    assert all(same)
    assert env.info["episode_length"].tolist() == [90.0] * 5


def test_tensors_are_views_of_the_buffers() -> None:
    env = FundingHedgeTorchEnv(4, **SETTINGS)
    obs, info = env.reset(seed=0)
    env.batch.obs[1, 2] = 42.0
    env.batch.store.account[3, t.EQUITY] = 7.0
    assert obs[1, 2] == 42.0
    assert info["equity"][3] == 7.0


def test_the_previous_observation_survives_one_step_and_not_two() -> None:
    env = FundingHedgeTorchEnv(3, **SETTINGS)
    first, _ = env.reset(seed=0)
    kept = first.clone()
    env.step(torch.zeros(3, 3))
    assert torch.equal(first, kept)
    env.step(torch.zeros(3, 3))
    assert not torch.equal(first, kept)


def test_actions_may_need_gradients_and_be_integers() -> None:
    env = FundingHedgeTorchEnv(2, actions="discrete", **SETTINGS)
    env.reset(seed=0)
    indices = torch.tensor([[0, 0, 0], [1, 1, 1]])
    assert env.step(indices)[0].shape == (2, len(env.observation_table))
    continuous = FundingHedgeTorchEnv(2, **SETTINGS)
    continuous.reset(seed=0)
    continuous.step(torch.zeros(2, 3, requires_grad=True))


def test_a_device_that_is_not_there_is_named_in_one_line() -> None:
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(ConfigError, match=r"^device = 'cuda': .*use device='cpu'$"):
        FundingHedgeTorchEnv(2, device="cuda", **SETTINGS)


def test_a_device_that_cannot_be_is_named_in_one_line() -> None:
    with pytest.raises(ConfigError, match="device = 'meta'"):
        FundingHedgeTorchEnv(2, device="meta", **SETTINGS)
    with pytest.raises(ConfigError, match="device = 'gpu' is no torch device"):
        FundingHedgeTorchEnv(2, device="gpu", **SETTINGS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_captured_graph_steps_like_the_cpu() -> None:
    pytest.importorskip("numba_cuda", reason="the extra `cuda` is not installed")
    n, steps = 512, 60
    here, there = (
        FundingHedgeTorchEnv(n, **SETTINGS),
        FundingHedgeTorchEnv(n, device="cuda", **SETTINGS),
    )
    actions = torch.rand(steps, n, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for env in (here, there):
        env.reset(seed=1)
    for k in range(2):
        for env in (here, there):
            env.step(actions[k].to(env.device))
    slots = torch.zeros(2, n, 3, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for k in range(2):
            obs, reward, _, truncated, _, _ = there.step(slots[k])
    for k in range(2, steps, 2):
        slots.copy_(actions[k : k + 2])
        graph.replay()
        for j in range(2):
            expected = here.step(actions[k + j])
        assert torch.allclose(obs.cpu(), expected[0], atol=1e-5)
        assert torch.allclose(reward.cpu(), expected[1], atol=1e-4)
        assert torch.equal(truncated.cpu(), expected[3])
