"""What Gymnasium and stable-baselines3 expect of an environment holds for every action mode and
face.
"""

import copy
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import fundenv  # noqa: F401  registers the environment
from fundenv.config import ConfigError
from fundenv.envs.single import FundingHedgeEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import joint, stack, synthetic_market
from tests.markets import PLAIN_VENUE, wild_market

ID = "fundenv/FundingHedge-v0"
MODES = [
    {},
    {"actions": "discrete"},
    {"actions": "target"},
    {"dials": ("carry",)},
    {"dials": ("hedge", "leverage"), "actions": "discrete"},
    {"margin_mode": "cross"},
    {"random_start": False, "episode": None},
    {"start_invested": 1.0},
    {"actions": "indexed"},
    {"actions": "indexed", "dials": ("hedge", "leverage")},
    {"info": False},
    {"info": True},
]


@pytest.mark.parametrize("settings", MODES, ids=str)
def test_gymnasium_checker_finds_nothing(settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # `target` is in physical units
        warnings.filterwarnings(
            "ignore", message=".*recommend using a symmetric and normalized space.*"
        )
        env = gym.make(ID, **settings).unwrapped
        check_env(env, skip_render_check=True)


def test_stable_baselines_checker_finds_nothing():
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(gym.make(ID))


def test_gymnasium_records_statistics_of_episodes():
    single = gym.wrappers.RecordEpisodeStatistics(gym.make(ID, episode="10D"))
    single.reset(seed=0)
    ended, total, steps = False, 0.0, 0
    while not ended:
        _, reward, terminated, truncated, info = single.step(np.zeros(3, np.float32))
        ended, total, steps = terminated or truncated, total + reward, steps + 1
    assert (info["episode"]["r"], info["episode"]["l"]) == (pytest.approx(total), steps)


@pytest.mark.parametrize("mode", ["next_step", "same_step"])
def test_gymnasium_records_statistics_of_vectors(mode):
    vector = gym.wrappers.vector.RecordEpisodeStatistics(
        gym.make_vec(ID, 3, autoreset_mode=mode, episode="10D")
    )
    vector.reset(seed=0)
    ended = np.zeros(3, bool)
    while not ended.any():
        _, _, terminated, truncated, info = vector.step(np.zeros((3, 3), np.float32))
        ended = terminated | truncated
    np.testing.assert_allclose(info["episode"]["r"], info["episode_stats"]["r"], rtol=1e-5)
    np.testing.assert_array_equal(info["episode"]["l"], info["episode_stats"]["l"])
    np.testing.assert_array_equal(info["_episode"], info["_episode_stats"])


def test_every_observation_of_a_wild_episode_lies_in_its_space():
    env = FundingHedgeEnv(
        market=wild_market(3, paths=20), venue=PLAIN_VENUE, decision_interval="1h", episode=None
    )
    rng = np.random.default_rng(0)
    for seed in range(30):
        obs, _ = env.reset(seed=seed)
        ended = False
        while not ended:
            assert env.observation_space.contains(obs), [
                c.name
                for c, x in zip(env.observation_table, obs, strict=True)
                if not c.low <= x <= c.high
            ]
            obs, reward, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 3))
            ended = terminated or truncated
            assert np.isfinite(reward)
        assert env.observation_space.contains(obs)


def test_make_by_module_and_by_import_give_the_same_environment():
    a, b = gym.make("fundenv:" + ID), gym.make(ID)
    assert np.array_equal(a.reset(seed=3)[0], b.reset(seed=3)[0])


def test_step_after_the_end_is_refused():
    env = FundingHedgeEnv(episode="8h")
    env.reset(seed=0)
    assert env.step(np.zeros(3))[3]
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(np.zeros(3))


def test_a_step_past_the_end_is_refused_where_nobody_resets():
    envs = FundingHedgeVectorEnv(2, autoreset_mode="disabled", episode="8h")
    envs.reset(seed=0)
    actions = np.zeros((2, 3), np.float32)
    assert envs.step(actions)[3].all()
    envs.reset(options={"reset_mask": np.array([True, False])})
    before = envs.batch.store.account.copy()
    with pytest.raises(gym.error.ResetNeeded, match=r"environment 1 has ended \(1 in all\)"):
        envs.step(actions)
    np.testing.assert_array_equal(envs.batch.store.account, before)
    envs.reset(options={"reset_mask": np.array([False, True])})
    envs.step(actions)


@pytest.mark.parametrize("make", [gym.make, gym.make_vec], ids=["make", "make_vec"])
def test_an_unknown_keyword_is_a_type_error_in_pythons_words(make):
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'") as caught:
        make(ID, frameskip=4)
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value).endswith("unexpected keyword argument 'frameskip')")  # no more


def test_a_misspelt_argument_beside_the_settings_is_named_too():
    with pytest.raises(ConfigError, match="did you mean symbols"):
        gym.make(ID, symbol="BTCUSDT")


def test_joint_market_of_two_assets_steps_and_names_its_observations_by_asset():
    a, b = synthetic_market("btc", years=0.3, seed=1), synthetic_market("eth", years=0.3, seed=2)
    both = stack([a, b])
    market = joint(both, [path[0] for path in both.symbols])
    env = FundingHedgeEnv(market=market, episode="5D")
    assert env.action_space.shape == (6,)
    names = [column.name for column in env.observation_table]
    assert len(names) == len(set(names)) == env.observation_space.shape[0]
    env.reset(seed=0)
    env.step(np.array([1, 0, 0, -1, 0, 0]))
    perp = env.audit()["account"]["perp"]
    assert perp[0] < 0 < perp[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"leverag": 3}, "unknown setting 'leverag'; did you mean leverage"),
        ({"info": "all"}, "info = 'all' is not one of"),
        ({"max_leverage": 500}, "max_leverage = 500 is outside 1 .. 125"),
        (
            {"decision_interval": "90min"},
            "decision_interval = '90min' is not a multiple of the market's bar of 1 h",
        ),
        ({"decision_interval": "soon"}, "decision_interval = 'soon' is not a duration"),
        (
            {"actions": "discreet"},
            "actions = 'discreet' is not one of continuous, discrete, target, indexed",
        ),
        ({"dials": ()}, "dials = "),
        ({"render_mode": "human"}, "render_mode = 'human' is not one of"),
        ({"venue": "binence"}, "unknown venue 'binence'; the package has binance"),
        ({"market": "/nowhere"}, "/nowhere"),
        ({"leverage_grid": (20.0,)}, "leverage_grid = "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_settings_give_one_line_that_names_them(settings, message):
    with pytest.raises(ValueError) as caught:
        FundingHedgeEnv(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_reset_options_and_seeds_are_named():
    env = FundingHedgeEnv()
    with pytest.raises(ConfigError, match="path 7 does not exist"):
        env.reset(options={"path": 7})
    with pytest.raises(ConfigError, match="start -1 of path 0 is outside"):
        env.reset(options={"path": 0, "start": -1})
    with pytest.raises(ConfigError, match="reset option 'row' is unknown"):
        env.reset(options={"row": 3})


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, pickle.dumps])
def test_a_copy_is_refused_because_its_calls_would_step_the_original(duplicate):
    for env in (FundingHedgeEnv(), gym.make_vec("fundenv/FundingHedge-v0", num_envs=2).unwrapped):
        with pytest.raises(
            TypeError,
            match=(
                r"cannot be copied or pickled; build another with the same settings, and hand on"
                r" state\(\)"
            ),
        ):
            duplicate(env.batch)


def test_actions_that_are_no_numbers_are_refused_before_anything_is_stepped():
    env = FundingHedgeEnv(actions="target")
    env.reset(seed=0)
    before = env.batch.store.account.copy(), env.batch.store.episode.copy()
    with pytest.raises(
        ValueError, match=r"action \[0.0, 1.0, nan, 3.0\] of environment 0 is not a finite number"
    ):
        env.step([0.0, 1.0, np.nan, 3.0])
    for array, was in zip((env.batch.store.account, env.batch.store.episode), before, strict=True):
        assert np.array_equal(array, was)
    env.step([0.0, 7.0, 1.0, -3.0])  # clipped, as the specification says
    envs = gym.make_vec("fundenv/FundingHedge-v0", num_envs=3)
    envs.reset(seed=0)
    actions = np.zeros((3, 3), np.float32)
    actions[2, 1] = np.nan
    with pytest.raises(ValueError, match="of environment 2 is not a finite number"):
        envs.step(actions)


def test_a_step_shows_the_present_after_a_step_of_the_batch():
    env, other = (
        FundingHedgeEnv(
            market=wild_market(3), venue=PLAIN_VENUE, decision_interval="4h", episode="2D"
        )
        for _ in range(2)
    )
    action = np.array([0.5, 0.1, 0.2], np.float32)
    for each in (env, other):
        each.reset(seed=1)
    env.batch.step(action[None])  # writes the other of the two buffers
    other.step(action)
    np.testing.assert_array_equal(env.step(action)[0], other.step(action)[0])
