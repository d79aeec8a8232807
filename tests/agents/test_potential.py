"""The shaped reward: a potential that knows the future, and yet leaves every policy's merit as it
was.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.sb3.wrappers import Shaped
from agents.training.hindsight_potential import Earned, Hindsight, Terms, earned, schedule_values
from agents.training.randomisation import EnvTerms, hindsight
from fundenv.config import EnvConfig
from fundenv.envs.sb3 import FundingHedgeVecEnv
from fundenv.market import Market, synthetic_market

GAMMA = 0.97
STEPS = 6
SETTINGS = {
    "actions": "discrete",
    "dials": ("carry",),
    "carry_grid": (0.0, 1.0),
    "leverage": 3.0,
    "cash_rate": 0.03,
}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market("btc", years=0.5, paths=2, seed=4)


def shaped_env(market: Market, n: int, **settings: object) -> Shaped:
    settings = SETTINGS | settings
    venv = FundingHedgeVecEnv(n, market=market, **settings)
    terms = EnvTerms(np.full(n, 0.03), np.ones(n), np.ones(n), np.zeros(n))
    potential = hindsight(market, EnvConfig.from_dict(settings), venv.batch.rulebook, terms, GAMMA)
    return Shaped(venv, 0.5, GAMMA, potential)


def brute_force(gains: Earned, hurdle: float, cost: float, held: int) -> float:
    """Best discounted sum over all on/off schedules of one path, without recursion."""
    count = int(gains.length[0])
    best = -np.inf
    for schedule in itertools.product((0, 1), repeat=count):
        before = np.r_[held, schedule[:-1]]
        if (before != schedule)[~gains.tradable[:, 0, 0]].any():
            continue
        due, after = (
            2 * rate[:, 0, 0] + 0.5 * years[:, 0, 0]
            for rate, years in ((gains.due, gains.due_years), (gains.after, gains.after_years))
        )
        value = (
            before * due
            + np.array(schedule) * (gains.price[:, 0, 0] + after - hurdle)
            - cost * np.abs(schedule - before)
        )
        best = max(best, float((GAMMA ** np.arange(count) * value).sum()))
    return best


@pytest.mark.parametrize("held", [0, 1])
def test_values_are_those_of_the_best_of_all_schedules(held: int) -> None:
    rng = np.random.default_rng(held)
    tradable = np.arange(8) != 3
    gains = Earned(
        *(1e-3 * rng.standard_normal((5, 8, 1, 1))),
        tradable[:, None, None],
        np.zeros(1, np.int64),
        np.array([8]),
    )
    values = schedule_values(
        gains, Terms(*(np.array([value]) for value in (2e-4, 8e-4, 2.0, 0.5))), GAMMA
    )
    assert values[0, 0, 0, 0, held] == pytest.approx(brute_force(gains, 2e-4, 8e-4, held), abs=1e-9)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (3.0, 1.0)])
def test_what_a_carry_earns_is_what_the_env_pays_for_holding_it(
    market: Market, scale: float, shift: float
) -> None:
    """An account that is invested and holds earns price and funding on its notional, but for
    rebalancing by nobody: the keeper is off.
    """
    level = {"funding_scale": scale, "funding_shift": shift}
    env = FundingHedgeVecEnv(
        1,
        market=market,
        **SETTINGS | level | {"keeper_interval": None, "episode": None, "random_start": False},
    )
    env.seed(0)
    env.reset()
    batch, gains = env.batch, earned(market, 8)
    env.step(np.array([[2]]))  # invest; the first decision pays the costs
    weight = next(
        i for i, column in enumerate(batch.observation_table) if column.name == "perp_weight"
    )
    wanted, paid = [], []
    for _ in range(60):
        path, row = (int(item[0]) for item in batch.where)
        short, k = -float(batch.obs[0, weight]), (row - gains.first[path]) // 8
        rate, years = (
            float((a + b)[k, path, 0])
            for a, b in ((gains.due, gains.after), (gains.due_years, gains.after_years))
        )
        assert years == pytest.approx(8 / 8760)
        wanted.append(
            short * (scale * rate + shift * years + gains.price[k, path, 0]) - 0.03 * 8 / 8760
        )
        _, reward, _, _ = env.step(np.array([[0]]))
        paid.append(reward[0] / 1e3)
    # spot and perpetual differ by the basis, so that a move of both does not cancel quite
    np.testing.assert_allclose(paid, wanted, atol=8e-5)
    assert np.corrcoef(paid, wanted)[0, 1] > 0.95
    assert np.ptp(wanted) > 3e-4  # or the comparison says little


def returns(
    env: Shaped, actions: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Discounted raw and shaped returns (n,) of action sequences (steps, n), and gamma^T x the last
    potential.
    """
    env.venv.env_method("reset", None, np.zeros(env.num_envs, int), np.zeros(env.num_envs, int))
    env.begin(env.batch.obs)
    raw, shaped = np.zeros(env.num_envs), np.zeros(env.num_envs)
    for step, action in enumerate(actions):
        _, reward, _, _ = env.step(action[:, None])
        raw += GAMMA**step * env.batch.reward
        shaped += GAMMA**step * reward
    return raw, shaped, GAMMA ** len(actions) * env.phi


def test_no_schedule_changes_its_rank_in_the_env_itself(market: Market) -> None:
    """All 3^6 sequences of {hold, off, on}, played by the kernel: shaped and raw returns differ by
    the same number, once the potential left at the end (which the critic's value of that state
    contains with the opposite sign) is counted.
    """
    sequences = np.array(list(itertools.product((0, 1, 2), repeat=STEPS))).T
    env = shaped_env(market, sequences.shape[1], episode="30D", random_start=False)
    first = (
        float(env.potential(np.zeros(1, int), env.potential.first[:1], np.zeros((1, 1)))[0])
        if env.potential
        else 0.0
    )
    raw, shaped, last = returns(env, sequences)
    assert np.ptp(raw) > 1.0
    assert np.ptp(shaped) > 1.0
    np.testing.assert_allclose(shaped, 0.5 * (raw + 1e3 * (last - first)), atol=2e-4)


def test_the_potential_left_at_an_end_is_that_of_the_state_that_ended(market: Market) -> None:
    """Across a truncation and the start of the next episode, too, every step is shaped by the
    states it leads from and to.
    """
    env = shaped_env(market, 16, episode="2D")  # six decisions
    env.seed(3)
    obs = env.reset()
    rng = np.random.default_rng(0)
    weight = next(
        i for i, column in enumerate(env.batch.observation_table) if column.name == "perp_weight"
    )
    assert env.potential is not None
    ended = 0
    for _ in range(13):
        path, row = env.batch.where
        phi = env.potential(path, row, -obs[:, [weight]])
        obs, shaped, dones, infos = env.step(rng.integers(0, 3, (16, 1)))
        final = np.array([info.get("terminal_observation", obs[i]) for i, info in enumerate(infos)])
        after = env.potential(path, row + 8, -final[:, [weight]])
        np.testing.assert_allclose(
            shaped, 0.5 * (env.batch.reward + 1e3 * (GAMMA * after - phi)), atol=1e-4
        )
        ended += int(dones.sum())
    assert ended == 32


def test_whoever_follows_the_schedule_of_hindsight_regrets_next_to_nothing(market: Market) -> None:
    gains = earned(market, 8)
    env = shaped_env(market, 2, episode=None, random_start=False, keeper_interval=None)
    env.venv.env_method("reset", None, np.arange(2), np.zeros(2, int))
    env.begin(env.batch.obs)
    assert isinstance(env.potential, Hindsight)
    values = env.potential.values[:, :, 0, 0]  # (T + 1, P, 2)
    raw = regret = 0.0
    for k in range(200):
        on = (
            gains.price[k, :, 0]
            + gains.after[k, :, 0]
            - 0.03 * 4 / 3 * 8 / 8760
            + GAMMA * values[k + 1, :, 1]
        )
        off = GAMMA * values[k + 1, :, 0]
        held = env.batch.obs[:, env.weight.at[0]] < -0.1
        cost = 0.0015 + 0.15e-4
        act = np.where(on - np.where(held, 0, cost) > off - np.where(held, cost, 0), 2, 1)
        _, reward, _, _ = env.step(
            np.where((act == 2) & held | (act == 1) & ~held, 0, act)[:, None]
        )
        raw += float(np.abs(0.5 * env.batch.reward).sum())
        regret += float(np.abs(reward).sum())
    assert regret < 0.25 * raw
