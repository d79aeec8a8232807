"""Which inputs move the dials: parts add up, and what the network does not see has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("captum", reason="needs captum: pip install 'fundenv[forecast]'")

from agents.margin.dials import DIALS
from agents.sb3.portfolio.attribution import GROUPS, attributed, group_of, shares
from fundenv.batch.cpu import Batch
from tests.agents.one_capital_learners import (
    DIALLED,
    PORTFOLIO,
    bound,
    coins,
    shaken,
    untrained,
)


@pytest.mark.parametrize("name", list(DIALLED))
def test_parts_add_up_and_columns_that_are_not_seen_have_none(name: str) -> None:
    market = coins(3)
    agent: Any = untrained(name, market)
    batch = bound(agent, market, 32)
    names = [column.name for column in batch.observation_table]
    assert set(shares(agent, batch.obs, names).values()) == {0.0}  # untrained: nothing moves
    shaken(agent.last_layer().parameters(), seed=0)
    parts, base = attributed(agent, batch.obs)
    assert parts.shape == (32, len(names), len(DIALS))
    np.testing.assert_allclose(parts.sum(axis=1) + base, agent.means(batch.obs), atol=2e-3)
    unseen = [i for i, each in enumerate(names) if each.split(":")[-1] in ("rsi", "idle_time")]
    assert len(unseen) == 6
    assert not parts[:, unseen].any()
    found = shares(agent, batch.obs, names)
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["funding"] > 0.05


def test_a_group_that_alone_moves_the_dials_has_the_whole_share() -> None:
    class Linear:
        class model:
            device = "cpu"

        @staticmethod
        def last(rows: torch.Tensor) -> torch.Tensor:
            return rows[:, :1] * torch.arange(1.0, len(DIALS) + 1)

    obs = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    names = ["0:funding_last", "0:volatility_7d", "cash_rate"]
    found = shares(Linear(), obs, names)
    assert found["funding"] == pytest.approx(1.0)
    assert found["volatility"] == found["cash and loans"] == 0.0


def test_every_observation_has_a_group() -> None:
    market = coins(2)
    agent: Any = untrained("portfolio_ppo", market)
    batch = Batch(1, market=market, **PORTFOLIO | agent.env_settings())
    told = {group_of(column.name) for column in batch.observation_table}
    assert set(GROUPS) - {"forecast"} <= told
    assert group_of("0:forecast_9_low") == "forecast"
    assert group_of("1:target_leverage") == group_of("0:perp_weight") == "position"
