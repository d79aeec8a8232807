"""The keeper as a dial of the action, and what an agent observes of its margin."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

import fundenv  # noqa: F401
from fundenv.batch.cpu import Batch
from fundenv.checks import check_accounting
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics.more_columns import MORE_COLUMNS
from fundenv.dynamics.observation import ACCOUNT_COLUMNS, LEG_COLUMNS
from fundenv.envs.portfolio import PORTFOLIO, by_asset
from fundenv.market import FEATURES
from fundenv.settings.forms import DIALS, KEEPER, MORE
from tests.laws.play import HOLD, action, as_float32, difference, frictionless, make_env, play
from tests.laws.wild import targets
from tests.markets import bar, tape, wild_market
from tests.oracle.linear import ReferenceAccount

ID = "fundenv/FundingPortfolio-v0"
MODES = pytest.mark.parametrize("mode", ["isolated", "cross", "portfolio"])
ALL = {"observe": MORE, "decision_interval": "1h"}
EQUITY = 30_000.0  # of `make_env`
FREE = (*DIALS, KEEPER)


def seen(env, obs) -> dict[str, float]:
    """Observations by name, in their units."""
    return {c.name: float(x) * c.scale for c, x in zip(env.observation_table, obs, strict=True)}


def test_the_setting_names_the_columns_that_the_kernel_writes() -> None:
    assert tuple(column.name for column in MORE_COLUMNS) == MORE
    with pytest.raises(ConfigError, match="in this order"):
        EnvConfig(observe=("keeper_up", "available"))
    assert EnvConfig.from_dict(EnvConfig(observe=["available"]).to_dict()).observe == ("available",)


@MODES
@pytest.mark.parametrize("watches", ["wallet", "equity"])
def test_a_keeper_that_the_action_sets_is_the_keeper_of_the_settings(mode, watches) -> None:
    market = wild_market(3, ("PLAIN", "FINE"), length=40)
    common = {"margin_mode": mode, "keeper_watches": watches, "keeper_interval": "1h"}
    common |= {"capital": "shared", "ruin_fraction": 0.0}
    fixed = make_env(market, keeper_up=2.0, keeper_down=0.25, **common)
    free = make_env(market, dials=FREE, **common)
    other = make_env(market, keeper_up=1.05, keeper_down=0.9, **common)
    ends = []
    for env, more in ((fixed, []), (free, [2.0]), (other, [])):
        env.reset(options={"path": 0, "start": 0})
        held = action([(0.4, 1.0, 3.0), (0.3, 1.0, 3.0)]), action([HOLD, HOLD])
        moves = [held[0], *[held[1]] * 25]
        ends.append([env.step(np.append(m, np.float32(more)))[4]["equity"] for m in moves])
    assert ends[0] == ends[1]
    assert ends[0] != ends[2] or (mode, watches) == ("portfolio", "wallet")  # nobody keeps there


@pytest.mark.parametrize(
    ("settings", "entry", "expected"),
    [
        ({"actions": "continuous"}, -1.0, 1.05),
        ({"actions": "continuous"}, 0.0, (1.05 * 5.0) ** 0.5),
        ({"actions": "continuous"}, 1.0, 5.0),
        ({"actions": "discrete", "keeper_grid": (1.2, 3.0)}, 1, 3.0),
        ({"actions": "target"}, 7.5, 7.5),
    ],
)
def test_the_entry_of_the_keeper_in_every_form(settings, entry, expected) -> None:
    env = gymnasium.make(ID, dials=("carry", KEEPER), **ALL | settings)
    env.reset(seed=1)
    move = np.zeros_like(env.action_space.sample())
    move[-1] = entry
    obs, *_ = env.step(move)
    assert seen(env.unwrapped, obs)["keeper_up"] == pytest.approx(expected, rel=1e-6)
    obs, _ = env.reset()
    assert seen(env.unwrapped, obs)["keeper_up"] == pytest.approx(1.6)  # the setting


@pytest.mark.parametrize("actions", ["continuous", "discrete", "target"])
def test_the_parts_add_up_where_the_keeper_is_decided_and_coins_come_and_go(actions) -> None:
    market = wild_market(4, ("PLAIN", "FINE", "COSTLY"), paths=4, length=200, listings=True)
    settings = {**PORTFOLIO, "actions": actions, "dials": FREE, "decision_interval": "1h"}
    settings |= {"venue": make_env(market).batch.config.venue, "max_participation": 0.0}
    check_accounting(market=market, num_envs=16, steps=200, **settings)


def test_the_keeper_alone_may_be_the_decision() -> None:
    env = gymnasium.make(ID, dials=(KEEPER,), **ALL)
    assert env.action_space.shape == (1,)
    env.reset(seed=0)
    env.step(np.zeros(1, np.float32))
    assert (env.unwrapped.batch.store.legs[0, :, 1] != 0.0).all()  # full carry, frozen


def test_a_keeper_that_is_drawn_and_decided_is_refused() -> None:
    with pytest.raises(ConfigError, match="randomize has 'keeper_up'"):
        EnvConfig(dials=FREE, randomize={"keeper_up": (1.1, 2.0)})
    with pytest.raises(ConfigError, match="'keeper_up' stands in per_env"):
        Batch(2, dials=FREE, per_env={"keeper_up": [1.1, 2.0]})


@MODES
def test_the_slow_account_agrees_where_the_action_sets_the_keeper(mode) -> None:
    traded = 0
    for seed in range(12):
        market = wild_market(seed, ("PLAIN", "FINE", "COSTLY"), length=45, listings=seed % 2 == 0)
        chosen = {"margin_mode": mode, "dials": FREE, "keeper_interval": "1h", "capital": "shared"}
        chosen |= {"keeper_watches": ("equity", "wallet")[seed % 3 == 0], "max_leverage": 20.0}
        config, rng = frictionless(**chosen), np.random.default_rng(seed)
        env, slow = make_env(market, **chosen), ReferenceAccount(market, config, 0, 0)
        env.reset(options={"path": 0, "start": 0})
        for step in range(40):
            move = [as_float32(t) for t in targets(rng, 3)] if step % 4 == 0 else [HOLD] * 3
            up = float(np.float32(rng.choice([1.0, 1.05, 1.6, 4.0, 100.0])))
            slow.config = replace(config, keeper_up=up, keeper_down=1.0 / (up * up))
            _, reward, terminated, truncated, info = env.step(
                np.append(action(move), np.float32(up))
            )
            expected = slow.step(move)
            got = dict(info) | {"reward": reward, "terminated": terminated, "truncated": truncated}
            notional = np.abs(expected["account"]["perp"]) * expected["prices"]["mark"]
            wrong = difference(got, expected, max(EQUITY, abs(expected["equity"]), *notional))
            assert not wrong, (seed, step, wrong)
            traded += move == [HOLD] * 3 and bool(np.any(info["trade"]["filled_perp"]))
            if terminated or truncated:
                break
    assert traded > 20


SIGMA = 0.04  # of `bar`


@MODES
@pytest.mark.parametrize("carry", [1.0, -1.0])
def test_the_distance_to_liquidation_is_where_the_account_is_liquidated(mode, carry) -> None:
    """A gap of the whole market a little nearer leaves the position, a little further takes it."""
    target = (carry, 1.0 if carry > 0.0 else 0.5, 10.0)

    def played(move: float):
        price = 100.0 * (1.0 + move)
        market = tape(bar(100.0), bar(100.0), bar(price))
        env = make_env(market, margin_mode=mode, after_liquidation="naked", **ALL)
        return env, play(env, [target, HOLD])

    env, infos = played(0.0)
    distance = seen(env, infos[0]["obs"])["liquidation_distance"] * SIGMA
    up = 1.0 if carry > 0.0 else -1.0
    assert 0.01 < distance < 4.0
    nearer, further = (played(up * share * distance)[1][-1] for share in (0.995, 1.005))
    assert nearer["liquidated"].tolist() == [0]
    assert further["liquidated"][0] > 0


def test_margin_columns_by_hand_in_portfolio_margin() -> None:
    """Leverage 10, collateral rate .95: N = E / (.05 + .1) = 200,000, debt 170,000. The collateral
    of 20,000 is what the initial margin asks; maintenance is 1.05 x 0.4 % x N = 840.
    """
    market = tape(*[bar(100.0)] * 3)
    settings = {"margin_mode": "portfolio", "quote_borrow_rate": 0.0876, "keeper_up": 1.3} | ALL
    env = make_env(market, **settings)
    first = seen(env, env.reset()[0])
    assert first["liquidation_distance"] == pytest.approx(100.0)  # the maximum: no position
    assert first["unused_collateral"] == pytest.approx(1.0)
    assert first["borrow_cost"] == pytest.approx(0.0876 * 8 / 8760 * 1e4)
    assert first["keeper_up"] == pytest.approx(1.3)
    rate = env.batch.world.tiers[0, 0, 1]
    now = seen(env, play(env, [(1.0, 1.0, 10.0)])[-1]["obs"])
    value, equity = 200_000.0, EQUITY - 170_000.0 * 0.0876 / 8760
    assert now["unused_collateral"] == pytest.approx((equity - 30_000.0) / equity, abs=1e-6)
    lost = value * (0.05 + 1.05 * rate)
    left = equity - 0.05 * value - 1.05 * rate * value
    assert now["liquidation_distance"] == pytest.approx(left / (lost * SIGMA), rel=1e-6)


def test_the_cost_of_borrowing_is_what_the_next_quote_adds() -> None:
    """Debt 170,000 of a pool of 200,000: .05 above the kink of .8, so 5 x .05 x .1 more; the next
    quote also makes the whole debt dearer, by 170,000 x 5 x .1 / 200,000.
    """
    pool = {"quote_supply": 200_000.0, "borrow_steep": 0.1, "borrow_used": 0.0}
    settings = {"margin_mode": "portfolio", "quote_borrow_rate": 0.0876} | ALL | pool
    env = make_env(tape(*[bar(100.0)] * 3), **settings)
    cost = seen(env, play(env, [(1.0, 1.0, 10.0)])[-1]["obs"])["borrow_cost"]
    assert cost == pytest.approx((0.0876 + 0.025 + 0.425) * 8 / 8760 * 1e4, rel=1e-3)


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_unused_collateral_by_hand_with_wallets(mode) -> None:
    """Carry .5 at leverage 3: spot 11,250, wallet 3,750, cash 15,000 and nothing in the wallet that
    the leverage does not ask for.
    """
    env = make_env(tape(*[bar(100.0)] * 3), margin_mode=mode, **ALL)
    info = play(env, [(0.5, 1.0, 3.0)])[-1]
    assert seen(env, info["obs"])["unused_collateral"] == pytest.approx(0.5)


def test_decisions_every_1_4_and_8_hours() -> None:
    """Targets that are left alone for a day give the same account, however often they might be
    changed.
    """
    ends = []
    for hours in (1, 4, 8):
        settings = {"actions": "target", "decision_interval": f"{hours}h", "episode": "1D"}
        env = gymnasium.make(ID, info=True, random_start=False, **settings)
        _, info = env.reset(seed=0)
        start, steps, truncated = np.datetime64(info["time"][:-1]), 0, False
        enter = np.array([0, 0.3, 1, 2] * 3, np.float32)
        while not truncated:
            move = enter if steps == 0 else np.array([1, 0, 1, 1] * 3, np.float32)
            _, _, _, truncated, info = env.step(move)
            steps += 1
        assert steps == 24 // hours
        assert np.datetime64(info["time"][:-1]) - start == np.timedelta64(24, "h")
        ends.append(info["equity"])
    assert ends == pytest.approx([ends[0]] * 3, rel=1e-12)
    assert ends[0] < 100_000.0  # the fees of the entry


@pytest.mark.parametrize("assets", [1, 2, 10, 32])
def test_every_form_of_action_for_1_to_32_coins(assets) -> None:
    market = tape(*[[bar(100.0)] * assets] * 6, symbols=("PLAIN",) * assets)
    common = {"market": market, "venue": make_env(market).batch.config.venue, "episode": None}
    common |= {"decision_interval": "1h", "leverage": 1.0, "cash_rate": 0.0, "info": True}
    common |= {"perp_fee": 0.0, "spot_fee": 0.0, "max_participation": 0.0, "random_start": False}

    def weights(env, move) -> np.ndarray:
        info = env.step(move)[4]
        notional = -info["account"]["perp"] * info["prices"]["mark"]
        return notional * 1.05 / info["equity"]

    # continuous: weights that ask for twice the capital get it in proportion
    env = gymnasium.make(ID, actions="continuous", dials=("carry",), **common)
    obs, _ = env.reset(seed=0)
    assert by_asset(obs, assets)[0].shape[0] == assets
    asked = np.linspace(1.0, 3.0, assets) if assets > 1 else np.ones(1)
    asked = np.minimum(2.0 * asked / asked.sum(), 1.0)
    got = weights(env, asked.astype(np.float32))
    assert got == pytest.approx(asked / max(asked.sum(), 1.0), rel=1e-5)
    # ... and are asked anew: a notional within 2 % of a coin's share stays, one beyond moves
    moved = got.astype(np.float32).copy()
    moved[0] *= np.float32(0.985)
    assert weights(env, moved) == pytest.approx(got, rel=1e-9)
    moved[0] *= np.float32(0.985)
    assert weights(env, moved)[0] == pytest.approx(moved[0], rel=1e-5)
    # discrete: stay, out, half, in
    env = gymnasium.make(
        ID, actions="discrete", dials=("carry",), carry_grid=(0.0, 0.5, 1.0), **common
    )
    env.reset(seed=0)
    assert env.action_space.nvec.tolist() == [4] * assets
    entered = weights(env, np.array([3] + [0] * (assets - 1)))
    assert entered == pytest.approx([1.0] + [0.0] * (assets - 1), rel=1e-6)
    assert weights(env, np.zeros(assets, int)) == pytest.approx(entered, rel=1e-9)  # stay
    assert weights(env, np.array([2] + [0] * (assets - 1)))[0] == pytest.approx(0.5, rel=1e-6)
    assert weights(env, np.array([1] + [0] * (assets - 1)))[0] == 0.0
    # target: physical units
    env = gymnasium.make(ID, actions="target", **common)
    env.reset(seed=0)
    assert weights(env, np.array([0, 1 / assets, 1, 1] * assets, np.float32)) == pytest.approx(
        np.full(assets, 1 / assets), rel=1e-5
    )


def test_portfolio_settings_observe_the_mask_alone() -> None:
    assert PORTFOLIO["observe"] == ("available",)
    asset, account = len(FEATURES) + len(LEG_COLUMNS), len(ACCOUNT_COLUMNS)
    assert len(gymnasium.make(ID).unwrapped.observation_table) == 3 * (asset + 1) + account
    assert len(Batch(1).observation_table) == asset + account


def test_maskable_ppo_takes_the_masks() -> None:
    sb3_contrib = pytest.importorskip("sb3_contrib")
    env = gymnasium.make(ID, actions="discrete", dials=("carry",), episode="10D")
    model = sb3_contrib.MaskablePPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0)
    model.learn(64)
    from sb3_contrib.common.maskable.utils import get_action_masks

    from fundenv.envs.portfolio import portfolio_market
    from fundenv.envs.sb3 import FundingHedgeVecEnv

    vec = FundingHedgeVecEnv(3, market=portfolio_market(), actions="discrete", dials=("carry",))
    vec.seed(0)
    vec.reset()
    assert get_action_masks(vec).shape == (3, 18)
