"""RLlib: the creator for users, one-line errors without Ray, and a training on several nodes of
which one dies.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import agents
from agents import AgentError, Learner
from fundenv.batch.cpu import Batch
from fundenv.envs.rllib import STRIDE, RunnerEnv, create
from fundenv.envs.single import FundingHedgeEnv
from fundenv.market import Market, synthetic_market
from tests.agents.watching import Watching

TINY = {"n_envs": 8, "n_steps": 16, "batch_size": 64, "hidden": 8, "funding_scales": [1.0]}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


class Context(dict[str, Any]):
    """What RLlib hands to a creator."""

    def __init__(self, values: dict[str, Any], worker_index: int) -> None:
        super().__init__(values)
        self.worker_index = worker_index

    def __or__(self, more: Any) -> Any:
        return Context({**self, **more}, self.worker_index)


def test_the_creator_hands_out_the_vector_env_where_rllib_asks_for_one(market: Market) -> None:
    context = Context({"market": market, "cash_rate": 0.02}, worker_index=1)
    assert isinstance(create(context), FundingHedgeEnv)
    env = create(context | {"num_envs": 4})
    assert isinstance(env, RunnerEnv)
    assert env.num_envs == 4
    assert env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert env.batch.config.cash_rate == 0.02


def test_no_two_runners_share_an_episode(market: Market) -> None:
    """RLlib seeds runner w with seed + w, and environment i adds i: without a stride, runner 1's
    second environment would be runner 2's first.
    """
    one, two = (create(Context({"market": market, "num_envs": 8}, worker_index=w)) for w in (1, 2))
    one.reset(seed=100 + 1)
    two.reset(seed=100 + 2)
    starts = [{tuple(row) for row in env.batch.store.episode.tolist()} for env in (one, two)]
    assert not starts[0] & starts[1]
    assert two.batch.store.episode[:, 0].tolist() == list(range(2 * STRIDE + 102, 2 * STRIDE + 110))


def test_without_ray_the_extra_is_named(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("rllib_ppo", "rllib_sac"):
        agent = agents.make(name)
        assert isinstance(agent, Learner)
        with pytest.raises(
            AgentError, match=r"need RLlib \(.*\); install it with: pip install 'fundenv\[rllib\]'"
        ):
            agent.learn(market, {}, steps=1, seed=0)


@pytest.mark.slow
@pytest.mark.learn
def test_a_training_outlives_a_node_and_its_agent_acts_without_ray(
    market: Market, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray", reason="RLlib is not installed (pip install 'fundenv[rllib]')")
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "object_store_memory": 100_000_000,
            "include_dashboard": False,
        },
    )
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=100_000_000) for _ in range(2)]
    shapes: list[tuple[int, ...]] = []
    told: list[dict[str, float]] = []

    def look(steps: int, batch: Any) -> bool:
        shapes.append(batch.obs.shape)
        if len(shapes) == 2:
            cluster.remove_node(nodes[1], allow_graceful=False)
        return True

    def hear(steps: int, scalars: dict[str, float]) -> bool:
        told.append(scalars)
        return True

    try:
        ray.init(address=cluster.address, log_to_driver=False)
        agent = agents.make("rllib_ppo", runners=2, **TINY)
        assert isinstance(agent, Learner)
        agent.learn(market, {"cash_rate": 0.02}, steps=1500, seed=0, callback=Watching(look, hear))
        assert agent.steps_done >= 1500
        assert shapes[0] == (16, 44)  # both runners
        # the one that lives, or both where there was room for a new one
        assert shapes[-1] in ((8, 44), (16, 44))
        assert "train/policy_loss" in told[-1]
        owned = ray.get(_owns_its_arrays.remote(_shared(market)))
        assert owned == [False, False], "a worker copied the market instead of mapping it"
    finally:
        ray.shutdown()
        cluster.shutdown()
    batch = Batch(4, market=market, **agent.env_settings())
    agent.bind(batch)
    agent.save(tmp_path)
    again = agents.load(tmp_path)
    again.bind(batch)
    obs = batch.reset(1)
    np.testing.assert_array_equal(again.act(obs), agent.act(obs))
    assert batch.actions.shape == again.act(obs).shape
    assert again.provenance.market == market.hash
    assert again.steps_done == agent.steps_done  # type: ignore[attr-defined]


def _shared(market: Market) -> Any:
    from fundenv.envs.rllib import share

    return share(market)


class _Remote:
    """`ray.remote` made when it is first used, so that this module loads without Ray."""

    def remote(self, shared: Any) -> Any:
        import ray

        def owns(shared: Any) -> list[bool]:
            from fundenv.envs.rllib import fetch

            found = Batch(2, market=fetch(shared)).market
            return [found.bars.flags.owndata, found.features.flags.owndata]

        return ray.remote(num_cpus=0)(owns).remote(shared)


_owns_its_arrays = _Remote()
