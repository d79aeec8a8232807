"""Domain randomisation: the numbers of an episode are drawn from their ranges by counter, so every
batch, thread and face draws the same.
"""

from dataclasses import replace

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics.types import Params
from fundenv.envs.curriculum import ranges_at
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import layout
from tests.markets import PLAIN_VENUE, bar, tape, wild_market

MARKET = wild_market(11, paths=6, length=120)
SETTINGS = {"episode": "1D", "decision_interval": "4h", "venue": PLAIN_VENUE}
RANGES = {
    "cash_rate": (-0.02, 0.07),
    "fee_scale": ("log", 0.25, 4.0),
    "funding_shift": (-0.03, 0.03),
}


def drawn(batch, name):
    return batch.store.params[:, Params._fields.index(name)].copy()


def episodes(count, chosen, steps=30, **more):
    """Params of environment `chosen` of a batch of `count` after every step of seeded play with
    autoreset.
    """
    batch = Batch(count, market=MARKET, autoreset="same_step", randomize=RANGES, **SETTINGS, **more)
    batch.reset(100)
    rows = [batch.store.params[chosen].copy()]
    for _ in range(steps):
        batch.step(np.full((count, 3), 0.3))
        rows.append(batch.store.params[chosen].copy())
    return np.array(rows)


def test_an_environment_draws_the_same_in_a_batch_of_any_size_on_any_threads():
    alone = Batch(1, market=MARKET, autoreset="same_step", randomize=RANGES, **SETTINGS)
    alone.reset(107)
    rows = [alone.store.params[0].copy()]
    for _ in range(30):
        alone.step(np.full((1, 3), 0.3))
        rows.append(alone.store.params[0].copy())
    # a new number for each episode
    assert len(np.unique(np.array(rows)[:, Params._fields.index("cash_rate")])) >= 4
    assert np.array_equal(episodes(9, 7), rows)
    assert np.array_equal(episodes(23, 7, threads=3), rows)


def test_a_draw_does_not_depend_on_what_else_is_drawn():
    both, one = (
        Batch(4, market=MARKET, randomize=r, **SETTINGS)
        for r in (RANGES, {"fee_scale": RANGES["fee_scale"]})
    )
    both.reset(3), one.reset(3)
    assert np.array_equal(drawn(both, "fee_scale"), drawn(one, "fee_scale"))
    assert np.all(drawn(one, "cash_rate") == EnvConfig().cash_rate)


def test_draws_fill_their_range_evenly_and_independently():
    batch = Batch(4000, market=MARKET, randomize=RANGES, **SETTINGS)
    batch.reset(0)
    cash = (drawn(batch, "cash_rate") + 0.02) / 0.09
    fee = np.log(drawn(batch, "fee_scale") / 0.25) / np.log(16.0)
    for share in (cash, fee):
        assert share.min() >= 0.0
        assert share.max() <= 1.0
        # Kolmogorov-Smirnov, 0.1 %
        assert np.abs(np.sort(share) - np.linspace(0, 1, 4000)).max() < 1.95 / np.sqrt(4000)
    assert abs(np.corrcoef(cash, fee)[0, 1]) < 0.06


def test_the_drawn_number_is_the_one_that_counts():
    batch = Batch(3, market=MARKET, randomize={"cash_rate": (0.2, 0.6)}, **SETTINGS)
    batch.reset(8, paths=0)
    rates = drawn(batch, "cash_rate")
    plain = Batch(3, market=MARKET, per_env={"cash_rate": rates}, **SETTINGS)
    plain.reset(8, paths=0)
    idle = np.zeros((3, 3))
    batch.step(idle), plain.step(idle)
    assert len(set(rates)) == 3
    assert np.array_equal(batch.reward, plain.reward)
    assert np.array_equal(batch.obs, plain.obs)


def test_new_ranges_hold_for_the_episodes_that_begin_after_them():
    batch = Batch(8, market=MARKET, randomize={"fee_scale": (0.0, 0.1)}, **SETTINGS)
    batch.reset(1)
    before = drawn(batch, "fee_scale")
    batch.randomize({"fee_scale": (2.0, 3.0)})
    batch.step(np.zeros((8, 3)))
    assert np.array_equal(drawn(batch, "fee_scale"), before)
    batch.reset()
    assert ((drawn(batch, "fee_scale") >= 2.0) & (drawn(batch, "fee_scale") <= 3.0)).all()
    assert batch.config.randomize == (("fee_scale", "uniform", 2.0, 3.0),)


def test_every_face_takes_ranges():
    import gymnasium

    import fundenv  # noqa: F401  (registers)

    envs = gymnasium.make_vec(
        "fundenv/FundingHedge-v0", num_envs=3, market=MARKET, randomize=RANGES, **SETTINGS
    )
    sb3 = pytest.importorskip("fundenv.envs.sb3", exc_type=ImportError).FundingHedgeVecEnv(
        3, market=MARKET, randomize=RANGES, **SETTINGS
    )
    envs.reset(seed=5)
    sb3.seed(5)
    sb3.reset()
    assert np.array_equal(envs.unwrapped.batch.store.params, sb3.batch.store.params)
    sb3.env_method("randomize", dict.fromkeys(RANGES, (0.01, 0.01)), indices=0)
    sb3.reset()
    assert np.all(drawn(sb3.batch, "cash_rate") == 0.01)


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"fee_scal": (0, 1)}, "randomize has no setting 'fee_scal'; it takes fee_scale"),
        ({"bar_years": (0, 1)}, "no setting 'bar_years'"),
        ({"cash_rate": (0.1, 3.0)}, r"randomize\['cash_rate'\] = 0.1 \.\. 3 leaves -0.5 \.\. 1"),
        ({"cash_rate": (0.1, 0.0)}, r"expected \(low, high\)"),
        ({"cash_rate": 0.1}, r"expected \(low, high\)"),
        ({"cash_rate": (0.1, float("nan"))}, r"expected \(low, high\)"),
        ({"fee_scale": ("log", 0.0, 1.0)}, "0 < low"),
        ({"max_leverage": (2.0, 5.0)}, r"leaves 3 \.\. 10"),
        ({"frozen_leverage": (1.0, 20.0)}, r"leaves 1 \.\. 10"),
    ],
)
def test_ranges_that_cannot_be_are_refused(ranges, message):
    with pytest.raises(ConfigError, match=message):
        Batch(2, market=MARKET, randomize=ranges, **SETTINGS)


def test_a_field_is_fixed_or_drawn_and_stays_so():
    with pytest.raises(ConfigError, match="'cash_rate' stands in per_env and in randomize"):
        Batch(2, market=MARKET, randomize=RANGES, per_env={"cash_rate": [0, 0]}, **SETTINGS)
    batch = Batch(2, market=MARKET, randomize=RANGES, **SETTINGS)
    with pytest.raises(ConfigError, match="'funding_shift' does not match the fields"):
        batch.randomize({"cash_rate": (0, 0.1), "fee_scale": (1, 1)})
    with pytest.raises(ConfigError, match="none; build it with"):
        Batch(2, market=MARKET, **SETTINGS).randomize(RANGES)


def test_ranges_survive_json():
    import json

    config = EnvConfig(randomize=RANGES)
    assert EnvConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.hash != EnvConfig().hash


# --- the level of funding -------------------------------------------------------------------------


def play(batch, steps=25):
    batch.reset(3)
    rows = []
    for k in range(steps):
        batch.step(np.random.default_rng(k).uniform(-1, 1, (batch.num_envs, 3)))
        rows.append(np.concatenate([batch.obs.ravel(), batch.reward, batch.ledger.ravel()]))
    return np.array(rows)


def test_funding_scale_is_the_market_with_scaled_rates():
    settings = SETTINGS | {"autoreset": "same_step"}
    by_param = Batch(5, market=MARKET, funding_scale=0.5, **settings)
    bars, features = MARKET.bars.copy(), MARKET.features.copy()
    bars[:, :, layout.SETTLE_RATE] *= 0.5
    features[:, :, [feature.name for feature in MARKET.table].index("funding_ewma_9")] *= 0.5
    by_market = Batch(5, market=replace(MARKET, bars=bars, features=features), **settings)
    plain = Batch(5, market=MARKET, **settings)
    expected = play(by_market)
    assert np.array_equal(play(by_param), expected)
    assert not np.array_equal(play(plain), expected)


def test_funding_shift_is_paid_in_proportion_to_the_interval():
    """A year of 8,760 hours: 0.876 a year is 1e-4 an hour. Settlements after 8 (none came before),
    2 and 4 hours at 1 bp each, short 1 base at 100.
    """
    hours = {3: 8, 5: 2, 9: 4}
    market = tape(
        *(
            bar(100.0, settle_rate=1e-4 * (k in hours), settle_price=100.0 * (k in hours))
            for k in range(12)
        )
    )
    batch = Batch(
        1,
        market=market,
        venue=PLAIN_VENUE,
        decision_interval="1h",
        episode=None,
        random_start=False,
        actions="target",
        funding_scale=2.0,
        funding_shift=0.876,
        fee_scale=0.0,
        cost_scale=0.0,
        initial_equity=200.0,
        cash_rate=0.0,
        keeper_interval=None,
    )
    batch.reset(0)
    received = {}
    for _ in range(11):
        batch.step(np.array([[0.0, 1.0, 1.0, 1.0]]))
        received[int(batch.store.episode[0, 3])] = batch.ledger[0, 2] / (
            -batch.audit()["account"]["perp"][0, 0] * 100.0
        )
    for row, rate in received.items():
        assert rate == pytest.approx(2e-4 + 1e-4 * hours[row] if row in hours else 0.0, abs=1e-6)


def test_the_observations_follow_the_level_of_funding():
    market = tape(*(bar(100.0) for _ in range(6)), deviation=0.5)  # funding_ewma_9 = 0.5 x 2 bp
    plain, moved = (
        Batch(1, market=market, venue=PLAIN_VENUE, decision_interval="1h", episode=None, **s)
        for s in ({}, {"funding_scale": 0.5, "funding_shift": 0.1095})
    )
    at = [c.name for c in plain.observation_table].index("funding_ewma_9")
    carry = [c.name for c in plain.observation_table].index("net_carry")
    before, after = plain.reset(0)[0].copy(), moved.reset(0)[0].copy()
    assert before[at] * 2.0 == pytest.approx(1.0)
    assert after[at] * 2.0 == pytest.approx(0.5 + 1.0)  # 0.1095 a year is 1 bp per 8 h
    assert (after[carry] - before[carry]) * 0.5 == pytest.approx(0.5 * 0.1095, rel=1e-4)
    others = [k for k in range(len(before)) if k not in (at, carry)]
    assert np.array_equal(before[others], after[others])


# --- curricula and fresh markets ------------------------------------------------------------------


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
