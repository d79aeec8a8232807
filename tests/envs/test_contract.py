"""What Gymnasium and stable-baselines3 expect of an environment holds for every action mode and
face.
"""

import copy
import datetime as dt
import gc
import json
import pickle
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import fundenv  # noqa: F401  registers the environment
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types
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


def test_make_vec_uses_the_vector_entry_point_and_declares_its_autoreset_mode():
    env = gym.make_vec(ID, num_envs=5)
    assert isinstance(env, FundingHedgeVectorEnv)
    assert env.metadata["autoreset_mode"] is env.autoreset_mode is AutoresetMode.NEXT_STEP
    assert env.reset(seed=0)[0].shape == env.observation_space.shape
    other = gym.make_vec(ID, num_envs=5, autoreset_mode="same_step")
    assert other.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_step_after_the_end_is_refused():
    env = FundingHedgeEnv(episode="8h")
    env.reset(seed=0)
    assert env.step(np.zeros(3))[3]
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(np.zeros(3))


def keys_of(info):
    """The names in an info, those in dicts within it too."""
    return [
        (key, keys_of(value) if isinstance(value, dict) else type(value))
        for key, value in info.items()
    ]


@pytest.mark.parametrize("info", ["brief", True, False])
def test_info_is_a_plain_dict_with_the_same_keys_at_reset_step_and_end(info):
    env = FundingHedgeEnv(info=info, episode="1D")
    infos = [env.reset(seed=0)[1]]
    for _ in range(3):
        *_, truncated, last = env.step(np.array([1, 0, 0], np.float32))
        infos.append(last)
    assert truncated
    assert all(type(each) is dict for each in infos)
    assert all(keys_of(each) == keys_of(infos[0]) for each in infos)
    assert bool(infos[0]) == bool(info)


def test_brief_info_says_what_the_audit_says_and_is_plain_numbers():
    env = FundingHedgeEnv(episode="10D")
    env.reset(seed=0)
    for _ in range(4):
        info = env.step(np.array([1, 0, 0]))[4]
        audit = env.audit()
        assert json.loads(json.dumps(info)) == info
        assert {type(value) for value in info.values()} == {float, int}
        assert info["equity"] == audit["equity"]
        assert info["liquidated"] == audit["liquidated"].sum()
        end = dt.datetime.fromisoformat(audit["time"])
        assert info["unix_time"] == end.timestamp()
        row = env.batch.store.episode[0, types.ROW]
        assert info["unix_time"] * 10**9 == env.batch.market.close_ns[row]


def test_liquidations_of_all_assets_are_counted_in_the_brief_info():
    env = FundingHedgeEnv(market=wild_market(3, paths=20), venue=PLAIN_VENUE, episode=None)
    seen = set()
    for seed in range(12):
        env.reset(seed=seed)
        ended = False
        while not ended:
            *_, terminated, truncated, info = env.step(np.array([1, 1, 1], np.float32))
            ended = terminated or truncated
            assert info["liquidated"] == env.audit()["liquidated"].sum()
            seen.add(info["liquidated"] > 0)
    assert seen == {True, False}


def test_audit_survives_the_next_step_and_its_parts_add_up():
    env = FundingHedgeEnv()
    env.reset(seed=0)
    env.step(np.array([1, 0, 0]))
    audit = env.audit()
    env.step(np.array([-1, 0, 0]))
    assert audit["account"]["perp"][0] < 0
    assert audit["equity"] == pytest.approx(100_000 + sum(audit["parts"].values()), rel=1e-12)


def test_vector_info_is_empty_unless_asked_for_and_then_equals_the_audit_of_the_single_one():
    quiet, loud, single = (
        FundingHedgeVectorEnv(2),
        FundingHedgeVectorEnv(2, info=True),
        FundingHedgeEnv(),
    )
    actions = np.full((2, 3), 0.5, dtype=np.float32)
    for env in (quiet, loud):
        env.reset(seed=4)
    single.reset(seed=5)
    assert quiet.step(actions)[4] == {}
    single.step(actions[1])
    audit, info = loud.step(actions)[4], single.audit()
    assert audit["equity"][1] == info["equity"]
    assert audit["parts"]["fees"][1] == info["parts"]["fees"]
    assert np.array_equal(audit["account"]["spot"][1], info["account"]["spot"])


def same(a, b, where="info"):
    """Whether two infos of vector environments hold the same."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}[{key!r}]")
    else:
        told = np.asarray(b) if a.dtype != object else b
        for x, y in zip(a, told, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=where)


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=str)
def test_vector_infos_are_those_of_gymnasiums_own_vector_environment(mode):
    # episodes end with their paths, at different steps
    settings = {
        "market": wild_market(3, paths=9),
        "venue": PLAIN_VENUE,
        "episode": None,
        "info": True,
        "decision_interval": "4h",
    }
    ours = FundingHedgeVectorEnv(3, autoreset_mode=mode, **settings)
    theirs = gym.vector.SyncVectorEnv(
        [lambda: FundingHedgeEnv(**settings)] * 3, autoreset_mode=mode
    )
    rng, ends = np.random.default_rng(0), set()
    for each in (ours, theirs):
        each.reset(seed=7)
    for _ in range(40):
        actions = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
        a, b = ours.step(actions), theirs.step(actions)
        for x, y in zip(a[:4], b[:4], strict=True):
            np.testing.assert_array_equal(x, y)
        info, ended = dict(a[4]), a[2] | a[3]
        ends.add(tuple(ended.tolist()))
        assert ("episode_stats" in info) == ended.any()
        for key in ("episode_stats", "_episode_stats"):  # ours alone tells them
            info.pop(key, None)
            info.get("final_info", {}).pop(key, None)
        same(plain_times(info), plain_times(b[4]))
        if mode is AutoresetMode.DISABLED and ended.any():
            for each in (ours, theirs):
                each.reset(options={"reset_mask": ended})
    assert len(ends) > 2


def plain_times(info):
    """The same info without times and reasons, of which a batch has arrays and a single environment
    plain texts.
    """
    return {
        key: plain_times(value) if isinstance(value, dict) else value
        for key, value in info.items()
        if key not in ("time", "reason")
    }


@pytest.mark.parametrize("copy", [True, False])
def test_same_step_with_and_without_infos_gives_the_same_numbers(copy):
    loud, quiet = (
        FundingHedgeVectorEnv(3, autoreset_mode="same_step", episode="2D", info=info, copy=copy)
        for info in (True, False)
    )
    rng = np.random.default_rng(1)
    for each in (loud, quiet):
        each.reset(seed=3)
    for _ in range(15):
        actions = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
        a, b = loud.step(actions), quiet.step(actions)
        for x, y in zip(a[:4], b[:4], strict=True):
            np.testing.assert_array_equal(x, y)
        if "final_obs" in b[4]:
            for x, y in zip(a[4]["final_obs"], b[4]["final_obs"], strict=True):
                np.testing.assert_array_equal(x, y)


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


@pytest.mark.parametrize(("episode", "limit", "length"), [(None, 7, 7), ("2D", 7, 6), ("2D", 4, 4)])
def test_make_vec_takes_a_limit_of_steps_as_make_does(episode, limit, length):
    single = gym.make(ID, max_episode_steps=limit, episode=episode)
    envs = gym.make_vec(ID, num_envs=2, max_episode_steps=limit, episode=episode)
    single.reset(seed=1)
    envs.reset(seed=0)
    action = np.zeros((2, 3), np.float32)
    for step in range(1, length + 1):
        *_, alone, _ = single.step(action[1])
        _, _, terminated, truncated, _ = envs.step(action)
        assert not terminated.any()
        assert truncated.tolist() == [step == length] * 2
        assert alone == (step == length)


def test_make_vec_without_a_limit_and_with_a_bad_one():
    free = gym.make_vec(ID, num_envs=2, max_episode_steps=-1).unwrapped
    assert free.batch.config.episode == "90D"
    both = gym.make_vec(ID, 2, max_episode_steps=5, per_env={"fee_scale": [0.0, 1.0]}).unwrapped
    assert both.batch.store.params.shape[0] == 2
    for bad in (0, "7", 7.5, float("nan"), True):
        with pytest.raises(ConfigError, match=r"max_episode_steps = .* is not a whole number"):
            gym.make_vec(ID, num_envs=2, max_episode_steps=bad)


@pytest.mark.parametrize("limit", [None, 5])
def test_a_setting_beside_a_whole_config_is_refused_with_and_without_a_limit(limit):
    with pytest.raises(ConfigError, match="both config and fee_scale are given"):
        gym.make_vec(
            ID, num_envs=2, max_episode_steps=limit, config=EnvConfig(episode="2D"), fee_scale=0.5
        )
    held = gym.make_vec(ID, num_envs=2, max_episode_steps=limit, config=EnvConfig(episode="2D"))
    assert held.unwrapped.batch.config.episode == ("2D" if limit is None else "40h")


def test_make_vec_refuses_the_brief_info_of_a_single_env():
    with pytest.raises(ConfigError, match="info = 'brief' is not one of False, True"):
        gym.make_vec(ID, num_envs=2, info="brief")


def test_a_vector_environment_answers_calls_as_gymnasiums_own_do():
    ours = gym.make_vec(ID, num_envs=2)
    theirs = gym.make_vec(ID, num_envs=2, vectorization_mode="sync")
    assert ours.call("render") == theirs.call("render") == (None, None)
    assert ours.call("observation_table") == theirs.call("observation_table")
    assert ours.get_attr("render_mode") == theirs.get_attr("render_mode")
    with pytest.raises(AttributeError):
        ours.get_attr("colour")


def test_a_refused_vector_environment_leaves_nothing_to_close():
    found = []
    before, sys.unraisablehook = sys.unraisablehook, found.append
    try:
        for wrong in ({"leverag": 3}, {"num_envs": 0}, {"autoreset_mode": "never"}):
            with pytest.raises(ConfigError):
                gym.make_vec(ID, **wrong)
            gc.collect()
    finally:
        sys.unraisablehook = before
    assert not found


@pytest.mark.parametrize("make", [gym.make, gym.make_vec], ids=["make", "make_vec"])
def test_an_unknown_keyword_is_a_type_error_in_pythons_words(make):
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'") as caught:
        make(ID, frameskip=4)
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value).endswith("unexpected keyword argument 'frameskip')")  # no more


def test_a_misspelt_argument_beside_the_settings_is_named_too():
    with pytest.raises(ConfigError, match="did you mean symbols"):
        gym.make(ID, symbol="BTCUSDT")


def test_indexed_actions_choose_rows_of_discrete_ones():
    market = joint(
        stack([synthetic_market(c, years=0.3, seed=k) for k, c in enumerate(("btc", "eth"))]),
        ["SYNTH-BTC-0", "SYNTH-ETH-0"],
    )
    settings = {"market": market, "dials": ("carry", "leverage"), "leverage_grid": (1.0, 4.0)}
    one = FundingHedgeEnv(actions="indexed", **settings)
    many = FundingHedgeEnv(actions="discrete", **settings)
    envs = FundingHedgeVectorEnv(2, actions="indexed", **settings)
    assert isinstance(one.action_space, gym.spaces.Discrete)
    assert one.action_space.n == envs.single_action_space.n == 11**2
    rows = envs.batch.decisions
    assert rows[0].tolist() == [0, 0, 0, 0]
    assert rows[1].tolist() == [0, 0, 1, 0]  # holds the first asset
    assert rows[-1].tolist() == [5, 1, 5, 1]
    assert len({tuple(row) for row in rows.tolist()}) == len(rows)
    one.reset(seed=5)
    many.reset(seed=5)
    envs.reset(seed=4)
    for number in (3, 0, 120, 60):
        a, b = one.step(number), many.step(rows[number])
        np.testing.assert_array_equal(a[0], b[0])
        assert a[1] == b[1] == envs.step(np.array([0, number]))[1][1]


@pytest.mark.parametrize("wrong", [6, -1, 1.0, True, None, [0, 1], "1", np.nan], ids=str)
def test_numbers_of_no_decision_are_refused(wrong):
    env = gym.make("fundenv/FundingHedge-Discrete-v0")
    assert env.action_space == gym.spaces.Discrete(6)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"expected 1 whole number\(s\) within 0 \.\. 5"):
        env.step(wrong)
    env.step(5)


def test_too_many_decisions_are_refused_with_the_remedy():
    with pytest.raises(ConfigError, match="50001 decisions, more than 10000"):
        FundingHedgeEnv(
            actions="indexed", dials=("carry",), carry_grid=np.linspace(-1, 1, 50_000).tolist()
        )


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
