"""Domain randomisation: the numbers of an episode are drawn from their ranges by counter, so every
batch, thread and face draws the same.
"""

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics.types import Params
from tests.markets import PLAIN_VENUE, wild_market

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
