"""Environments side by side in vectors: the same bits as the plain loop, whatever an environment
meets.
"""

import ctypes

import gymnasium
import numpy as np
import pytest
from numba.core import config as numba_config

from fundenv.batch import entry
from fundenv.batch.cpu import Batch
from fundenv.batch.simd.blocks import MOST_FALLBACKS
from fundenv.batch.simd.market_copy import fits
from fundenv.checks import check_parity
from fundenv.compiler.memory import LANES
from fundenv.dynamics import types as t
from fundenv.envs.spaces import action_space
from fundenv.market import stack, synthetic_market
from tests.markets import PLAIN_VENUE, wild_market

pytestmark = pytest.mark.skipif(
    numba_config.DISABLE_JIT, reason="there is no vector form of plain Python"
)

COUNT = 2 * LANES + 5  # two blocks, and some that are left over
MARKET = stack(
    [
        wild_market(11 + k, symbols=(name,), paths=3, length=120)
        for k, name in enumerate(("PLAIN", "COSTLY", "FINE"))
    ]
)
SETTINGS = {"market": MARKET, "decision_interval": "1h", "episode": "2D", "venue": PLAIN_VENUE}


def batches(monkeypatch, count=COUNT, **settings):
    """A batch stepped by the plain loop, and the same one in lanes."""
    # else both would step in lanes where these are compiled already
    monkeypatch.setattr(entry, "is_kept", lambda _: False)
    plain, lanes = (Batch(count, **(SETTINGS | settings)) for _ in range(2))
    lanes.use_vectors()
    return plain, lanes


def test_the_public_check_of_parity_holds_where_one_batch_steps_in_lanes_and_the_other_does_not(
    monkeypatch,
):
    """Sixteen environments are a block; halves of it, one for each thread, are left to the plain
    loop.
    """
    monkeypatch.setattr(entry, "is_kept", lambda _: True)
    # in this market's small brackets too; what is above them is a fallback
    monkeypatch.setattr(entry, "fits", lambda world, params, n: n >= LANES)
    check_parity(**SETTINGS, num_envs=LANES, threads=2, steps=60)


def arrays(batch):
    store, out = batch.store, batch.out
    return {
        "obs": out.obs,
        "final_obs": out.final_obs,
        "reward": out.reward,
        "terminated": out.terminated,
        "truncated": out.truncated,
        "ledger": out.ledger,
        "trades": out.trades,
        "final": out.final,
        "account": store.account,
        "legs": np.delete(store.legs, t.SCRATCH, axis=2),
        "episode": store.episode,
    }


def drawn(batch, rng):
    """Actions of every environment, as they stand in `actions`; dials go a little beyond their
    limits.
    """
    space, shape = action_space(batch), batch.actions.shape
    if isinstance(space, gymnasium.spaces.Discrete):
        return batch.decisions[rng.integers(space.n, size=len(batch.actions))]
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return rng.integers(0, space.nvec, shape).astype(np.float32)
    reach = 0.05 if batch.config.actions == "target" else 0.0
    return rng.uniform(space.low - reach, space.high + reach, shape).astype(np.float32)


def play(plain, lanes, steps=150, seed=5, odd=0.0):
    """Step both; returns how often legs were liquidated, orders were short of funds, and episodes
    ended. odd: share of actions that are no numbers.
    """
    rng, met = np.random.default_rng(seed), np.zeros(3, dtype=int)
    plain.reset(seed)
    lanes.reset(seed)
    for _ in range(steps):
        actions = drawn(plain, rng)
        actions = np.where(
            rng.random(actions.shape) < odd,
            rng.choice([np.nan, np.inf, -np.inf], actions.shape),
            actions,
        )
        for batch in (plain, lanes):
            batch.actions[:] = actions
            batch.advance()
        expected = arrays(plain)
        for name, array in arrays(lanes).items():
            assert np.array_equal(array, expected[name], equal_nan=True), name
        met += [
            (expected["legs"][:, 0, t.LIQUIDATED - 2] > 0).sum(),
            (plain.store.legs[:, 0, t.REASON] == t.REASON_FUNDS).sum(),
            (expected["terminated"] | expected["truncated"]).sum(),
        ]
    return met


@pytest.mark.parametrize("interval", ["1h", "2h", "8h"])
@pytest.mark.parametrize("autoreset", ["same_step", "next_step", "disabled"])
def test_lanes_give_the_bits_of_the_plain_loop(monkeypatch, autoreset, interval):
    met = play(*batches(monkeypatch, autoreset=autoreset, decision_interval=interval))
    assert (met > 0).all()


def observed_fallbacks(interval, count=10 * LANES, **settings):
    """A batch after some steps of a usual market, and how many environments each call of the plain
    loop took in the last one.
    """
    market = synthetic_market("btc", years=1, seed=0)
    stepped_plain, call = (
        [],
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64),
    )
    note = call(lambda table, first, last: stepped_plain.append(last - first))
    lanes = Batch(count, market=market, decision_interval=interval, **settings)
    lanes.use_vectors()
    lanes.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(10):
        lanes.step(drawn(lanes, rng))
    lanes.actions[:] = drawn(lanes, rng)
    lanes.calls.table[-1] = ctypes.cast(note, ctypes.c_void_p).value
    lanes.calls.step(0, lanes.num_envs)
    return lanes, stepped_plain


@pytest.mark.parametrize("interval", ["1h", "8h"])
def test_most_steps_of_a_usual_market_need_no_fallback(monkeypatch, interval):
    """Else both batches would be stepped by the plain loop, and the bits be the same for no merit
    of the vectors.
    """
    lanes, stepped_plain = observed_fallbacks(interval)
    assert sum(stepped_plain) < 2 * LANES
    assert (lanes.store.legs[:, 0, t.PERP] != 0.0).mean() > 0.9


def test_what_no_account_can_pay_for_and_is_dropped_needs_no_fallback():
    """Leverage that falls asks for margin that the account does not have: a twelfth of the steps of
    PPO's environment with random actions.
    """
    grids = {"carry_grid": (0.0, 1.0), "leverage_grid": (2.0, 3.0, 5.0)}
    chosen = {"actions": "discrete", "dials": ("carry", "leverage"), **grids}
    lanes, stepped_plain = observed_fallbacks("8h", 40 * LANES, **chosen)
    assert (lanes.store.legs[:, 0, t.REASON] == t.REASON_FUNDS).mean() > 0.1
    assert sum(stepped_plain) < LANES


def test_an_order_between_two_decisions_is_taken_by_the_plain_loop(monkeypatch):
    """The keeper orders where a wallet is empty; then the leg has been idle for fewer bars than the
    decision has.
    """
    plain, lanes = batches(
        monkeypatch,
        decision_interval="8h",
        episode=None,
        autoreset="disabled",
        initial_equity=50_000.0,
    )
    rng, kept = np.random.default_rng(2), 0
    plain.reset(2)
    lanes.reset(2)
    for _ in range(10):
        actions = rng.uniform(-1.0, 1.0, plain.actions.shape)
        plain.step(actions)
        lanes.step(actions)
        kept += (plain.store.legs[:, 0, t.IDLE_BARS] < 7).sum()
        assert np.array_equal(plain.ledger, lanes.ledger)
    assert kept > 0


def test_threads_take_whole_blocks_of_lanes_and_give_the_same_bits(monkeypatch):
    plain, lanes = batches(monkeypatch, autoreset="same_step", threads=2)
    assert lanes.chunks == [(0, LANES), (LANES, COUNT)]
    play(plain, lanes, steps=60)
    plain.close()
    lanes.close()


def test_more_fallbacks_than_are_kept_at_a_time(monkeypatch):
    plain, lanes = batches(
        monkeypatch,
        MOST_FALLBACKS + LANES,
        autoreset="disabled",
        ruin_fraction=0.99,
        initial_equity=50_000.0,
    )
    play(plain, lanes, steps=80)
    assert (plain.terminated | plain.truncated).sum() > MOST_FALLBACKS - LANES


@pytest.mark.parametrize("interval", ["1h", "8h"])
def test_an_episode_that_ended_in_ruin_keeps_its_flags_until_the_reset(monkeypatch, interval):
    plain, lanes = batches(
        monkeypatch,
        autoreset="disabled",
        ruin_fraction=0.9,
        initial_equity=50_000.0,
        decision_interval=interval,
    )
    play(plain, lanes, steps=60)
    assert plain.terminated.any()


def test_what_is_no_number_goes_the_same_way(monkeypatch):
    met = play(*batches(monkeypatch, autoreset="next_step", initial_equity=50_000.0), odd=0.05)
    assert met[2] > 0


def test_the_parts_of_a_step_in_lanes_add_up(monkeypatch):
    _, lanes = batches(monkeypatch, autoreset="disabled", initial_equity=50_000.0)
    lanes.reset(3)
    rng, moved = np.random.default_rng(3), 0
    for _ in range(40):
        before = lanes.store.account[:, t.EQUITY].copy()
        lanes.step(rng.uniform(-1.0, 1.0, lanes.actions.shape))
        after, parts = lanes.store.account[:, t.EQUITY], lanes.ledger[:, : t.N_PARTS].sum(axis=1)
        np.testing.assert_allclose(before + parts, after, rtol=1e-12, atol=1e-7)
        moved += (parts != 0.0).sum()
    assert moved > 30 * COUNT


def test_a_state_with_other_numbers_is_stepped_by_the_plain_loop(monkeypatch):
    """`restore` puts the numbers of the environments back too, and lanes take some of them for
    granted.
    """
    monkeypatch.setattr(entry, "is_kept", lambda _: False)
    plain, batch = (
        Batch(COUNT, **(SETTINGS | {"crash_sigma": 0.5})),
        batches(monkeypatch, initial_equity=50_000.0)[1],
    )
    plain.reset(7)
    batch.restore(plain.state())
    for _ in range(30):
        for each in (plain, batch):
            each.step(np.ones(each.actions.shape))
        assert np.array_equal(plain.reward, batch.reward)


def test_another_library_of_logarithms_keeps_the_plain_loop(monkeypatch):
    batch = Batch(COUNT, **(SETTINGS | {"initial_equity": 50_000.0}))
    assert fits(batch.world, batch.store.params, COUNT)
    monkeypatch.setattr(numba_config, "USING_SVML", True)
    assert not fits(batch.world, batch.store.params, COUNT)


SPREAD = np.linspace(0.0, 1.0, COUNT + LANES)
# what trainings, calibrations and evaluations set: PPO, SAC, rules
USED = {
    "discrete": {"actions": "discrete"},
    "discrete, held gate": {"actions": "discrete", "dials": ("hedge", "leverage"), "carry": 0.7},
    "numbered": {"actions": "indexed"},
    "targets": {"actions": "target"},
    "PPO's": {
        "actions": "discrete",
        "dials": ("carry", "leverage"),
        "carry_grid": (0.0, 1.0),
        "leverage_grid": (2.0, 3.0, 5.0),
        "start_invested": 0.5,
    },
    "two dials": {"dials": ("carry", "leverage"), "hedge": 0.9},
    "one dial": {"dials": ("hedge",), "carry": -0.8, "leverage": 2.5},
    "own terms": {
        "per_env": {
            "cash_rate": 0.2 * SPREAD - 0.05,
            "fee_scale": 0.5 + SPREAD,
        }
    },
    "own level of funding": {
        "actions": "discrete",
        "per_env": {"funding_scale": 2 * SPREAD, "funding_shift": SPREAD - 0.5},
    },
    "one level of funding": {"funding_scale": 0.5, "funding_shift": 0.3},
    "drawn terms": {
        "randomize": {
            "fee_scale": ("log", 0.5, 2.0),
            "funding_scale": (0.5, 2.0),
            "funding_shift": (-0.2, 0.2),
        }
    },
    "invested starts": {"start_invested": 0.5, "random_start": True, "actions": "target"},
}


@pytest.mark.parametrize("interval", ["1h", "8h"])
@pytest.mark.parametrize("name", USED)
def test_what_is_really_run_is_stepped_in_lanes_to_the_same_bits(monkeypatch, name, interval):
    settings = {"decision_interval": interval, "autoreset": "same_step"} | USED[name]
    for equity in (50_000.0, 1_000_000.0):
        plain, lanes = batches(
            monkeypatch, COUNT + LANES, **settings, initial_equity=equity, episode="4D"
        )
        assert equity > 60_000.0 or fits(lanes.world, lanes.store.params, COUNT)
        assert (play(plain, lanes, steps=100) > 0)[2]


@pytest.mark.parametrize("seed", range(6))
def test_random_settings_give_the_same_bits(monkeypatch, seed):
    rng = np.random.default_rng([seed, 23])

    def numbers(limits, size=None):
        return {
            name: low + (high - low) * rng.random(size)
            for name, (low, high) in limits.items()
            if rng.random() < 0.7
        }

    terms = {
        "cash_rate": (-0.05, 0.1),
        "fee_scale": (0.0, 3.0),
        "cost_scale": (0.0, 3.0),
        "funding_scale": (0.0, 3.0),
        "funding_shift": (-1.0, 1.0),
    }
    shared = {
        "quote_borrow_rate": (0.0, 0.3),
        "rebalance_band": (0.0, 0.2),
        "max_participation": (0.0, 0.05),
        "keeper_down": (0.2, 0.9),
        "keeper_up": (1.1, 4.0),
        "hedge": (0.5, 1.5),
        "leverage": (1.0, 5.0),
        "carry": (-1.0, 1.0),
        "liquidation_gap": (0.0, 1.0),
        "deficit_share": (0.0, 1.0),
    }
    dials = [dial for dial in ("carry", "hedge", "leverage") if rng.random() < 0.6] or ["carry"]
    settings = {
        "actions": rng.choice(["continuous", "discrete", "target", "indexed"]).item(),
        "dials": tuple(dials),
        "decision_interval": rng.choice(["1h", "4h", "8h"]).item(),
        "after_liquidation": rng.choice(["flatten", "rehedge", "naked"]).item(),
        "per_env": numbers(terms, COUNT),
    } | numbers(shared)
    play(*batches(monkeypatch, initial_equity=50_000.0, episode="4D", **settings), steps=100)


@pytest.mark.parametrize("interval", ["1h", "8h"])
def test_a_shifted_level_of_funding_needs_no_fallback_where_settlements_are_regular(interval):
    terms = {"funding_shift": np.linspace(-0.2, 0.2, 10 * LANES)}
    lanes, stepped_plain = observed_fallbacks(interval, per_env=terms)
    assert sum(stepped_plain) < 2 * LANES
    assert (lanes.ledger[:, t.FUNDING] != 0.0).any()


UNUSUAL = [
    {"margin_mode": "cross"},
    {"reward": "expected"},
    {"dials": ("carry", "keeper")},
    {"keeper_interval": None},
    {"crash_sigma": 2.0},
    {"adl_sigma": 2.0},
    {"margin_level": 1.1},
    {"randomize": {"crash_sigma": (0.0, 2.0)}},
    {"per_env": {"keeper_up": np.linspace(1.2, 2.0, COUNT)}},
    {"initial_equity": 80_000.0},  # positions may leave the first brackets of COSTLY
]


@pytest.mark.parametrize("settings", UNUSUAL, ids=lambda settings: next(iter(settings)))
def test_unusual_settings_keep_the_plain_loop(settings):
    fitting = SETTINGS | {"initial_equity": 50_000.0}
    for chosen, expected in ((fitting, True), (fitting | settings, False)):
        batch = Batch(COUNT, **chosen)
        assert fits(batch.world, batch.store.params, batch.num_envs) is expected
    assert not fits(batch.world, batch.store.params, LANES - 1)


def test_a_run_that_lasts_goes_over_to_lanes(monkeypatch):
    monkeypatch.setattr(entry, "is_kept", lambda _: False)
    monkeypatch.setattr(entry, "STEPS_TO_LANES", 2 * COUNT)
    batch, used = Batch(COUNT, **(SETTINGS | {"initial_equity": 50_000.0})), []
    batch.reset(0)
    for _ in range(6):
        batch.step(np.zeros(batch.actions.shape))
        used.append(batch.calls.steps_to_lanes == 0)
    assert used == [False, False, True, True, True, True]


def test_positions_beyond_the_first_brackets_are_left_to_the_plain_loop(monkeypatch):
    assert play(*batches(monkeypatch, autoreset="same_step", initial_equity=1_000_000.0))[2] > 0
