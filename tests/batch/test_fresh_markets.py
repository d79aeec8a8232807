"""Curricula and fresh markets: what holds for the episodes that begin after them."""

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError
from fundenv.envs.curriculum import ranges_at
from fundenv.envs.vector import FundingHedgeVectorEnv
from tests.markets import PLAIN_VENUE, bar, tape, wild_market

MARKET = wild_market(11, paths=6, length=120)
SETTINGS = {"episode": "1D", "decision_interval": "4h", "venue": PLAIN_VENUE}
RANGES = {
    "cash_rate": (-0.02, 0.07),
    "fee_scale": ("log", 0.25, 4.0),
    "funding_shift": (-0.03, 0.03),
}


def test_a_curriculum_moves_the_edges_between_its_stages():
    stages = {
        0.2: {"fee_scale": ("log", 0.01, 0.1), "cash_rate": (0.0, 0.0)},
        0.6: {"cash_rate": (0.02, 0.06), "fee_scale": ("log", 1.0, 10.0)},
    }
    assert (
        ranges_at(stages, 0.0)
        == ranges_at(stages, 0.2)
        == {
            "cash_rate": ("uniform", 0.0, 0.0),
            "fee_scale": ("log", 0.01, 0.1),
        }
    )
    half = ranges_at(stages, 0.4)
    assert half["cash_rate"] == ("uniform", pytest.approx(0.01), pytest.approx(0.03))
    assert half["fee_scale"] == ("log", pytest.approx(0.1), pytest.approx(1.0))
    assert ranges_at(stages, 1.0)["fee_scale"] == ("log", 1.0, 10.0)
    with pytest.raises(ConfigError, match="the same fields"):
        ranges_at({0.0: {"fee_scale": (0, 1)}, 1.0: {"cash_rate": (0, 0.1)}}, 0.5)


def test_episodes_move_to_the_fresh_market_as_they_end():
    """Marks tell the markets apart: market k stands at price 100 x 2^k."""
    markets = [tape(*(bar(100.0 * 2.0**k) for _ in range(40))) for k in range(4)]
    batch = Batch(
        2,
        market=markets[0],
        venue=PLAIN_VENUE,
        decision_interval="4h",
        episode="16h",
        autoreset="same_step",
        random_start=False,
    )
    batch.reset(0)
    batch.reset(None, mask=[False, True])

    def prices():
        batch.step(np.zeros((2, 3)))
        return batch.audit()["prices"]["mark"][:, 0].tolist()

    assert prices() == [100.0, 100.0]
    batch.refresh(markets[1])
    # the fourth step ends them, and they begin anew
    assert [prices() for _ in range(3)] == [[100.0, 100.0], [100.0, 100.0], [200.0, 200.0]]
    batch.refresh(markets[2])
    with pytest.raises(
        ConfigError, match=r"2 episode\(s\) are still on the market before the last one"
    ):
        batch.refresh(markets[3])
    assert [prices() for _ in range(4)][-1] == [400.0, 400.0]
    batch.refresh(markets[3])
    assert batch.reset(0, paths=0).shape[0] == 2
    assert batch.audit()["prices"]["mark"][:, 0].tolist() == [800.0, 800.0]
    with pytest.raises(ConfigError, match=r"paths 0 \.\. 0"):
        batch.reset(0, paths=1)
    with pytest.raises(ConfigError, match=r"start 99 of path 0 is outside 0 \.\. 35"):
        batch.reset(0, paths=0, starts=99)
    with pytest.raises(ConfigError, match="same lengths"):
        batch.refresh(tape(*(bar(1.0) for _ in range(30))))


def test_a_vector_env_keeps_its_streams_across_a_fresh_market():
    envs = FundingHedgeVectorEnv(
        4, market=MARKET, autoreset_mode="same_step", randomize=RANGES, **SETTINGS
    )
    envs.reset(seed=2)
    envs.step(np.zeros((4, 3)))
    before = envs.batch.store.params.copy()
    envs.batch.refresh(MARKET)
    envs.step(np.zeros((4, 3)))
    assert np.array_equal(envs.batch.store.params, before)


def test_stable_baselines_callbacks_move_ranges_and_markets():
    sb3 = pytest.importorskip("fundenv.envs.sb3", exc_type=ImportError)
    ppo = pytest.importorskip("stable_baselines3").PPO
    made = []

    def make(number):
        made.append(number)
        return wild_market(number, paths=6, length=120)

    env = sb3.FundingHedgeVecEnv(4, market=MARKET, randomize={"fee_scale": (0.0, 0.0)}, **SETTINGS)
    stages = {0.0: {"fee_scale": (0.0, 0.0)}, 1.0: {"fee_scale": (0.0, 4.0)}}
    model = ppo(
        "MlpPolicy",
        env,
        n_steps=8,
        batch_size=32,
        n_epochs=1,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [4]},
    )
    model.learn(96, callback=[sb3.Curriculum(stages), sb3.FreshMarket(make, every=32)])
    assert made == [1, 2]
    assert env.batch.config.randomize[0][3] == pytest.approx(4.0 * 64 / 96)
