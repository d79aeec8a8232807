"""The infos of single and vector environments."""

import datetime as dt
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import fundenv  # noqa: F401  registers the environment
from fundenv.dynamics import types
from fundenv.envs.single import FundingHedgeEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from tests.markets import PLAIN_VENUE, wild_market


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
