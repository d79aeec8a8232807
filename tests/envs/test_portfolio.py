"""`fundenv/FundingPortfolio-v0`: one capital over several coins."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import fundenv  # noqa: F401
from fundenv.checks import check_accounting
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics.observation import ACCOUNT_COLUMNS
from fundenv.envs.portfolio import (
    PORTFOLIO,
    FundingPortfolioEnv,
    FundingPortfolioVectorEnv,
    by_asset,
    portfolio_market,
)
from fundenv.market import SplitError, stack, synthetic_market

ID = "fundenv/FundingPortfolio-v0"


def test_it_has_one_capital_and_several_coins_and_passes_gymnasiums_checker() -> None:
    env = gymnasium.make(ID)
    batch = env.unwrapped.batch  # type: ignore[attr-defined]
    assert batch.n_assets == 3
    assert {name: getattr(batch.config, name) for name in PORTFOLIO} == dict(PORTFOLIO)
    check_env(env.unwrapped, skip_render_check=True)


def test_the_vector_form_draws_what_the_single_one_draws() -> None:
    one, many = (
        gymnasium.make(ID, decision_interval="4h"),
        gymnasium.make_vec(ID, num_envs=3, decision_interval="4h"),
    )
    first, _ = one.reset(seed=7)
    all_, _ = many.reset(seed=7)
    assert np.array_equal(first, all_[0])
    actions = many.action_space.sample()
    stepped = many.step(actions)
    assert np.array_equal(one.step(actions[0])[0], stepped[0][0])


def test_a_setting_of_the_user_wins() -> None:
    env = gymnasium.make(ID, margin_mode="isolated", capital="parts")
    config = env.unwrapped.batch.config  # type: ignore[attr-defined]
    assert (config.margin_mode, config.capital) == ("isolated", "parts")


@pytest.mark.parametrize("make", [FundingPortfolioEnv, FundingPortfolioVectorEnv])
def test_a_whole_config_needs_shared_capital_and_is_taken_as_it_is(make) -> None:
    with pytest.raises(ConfigError, match=r"capital = 'parts'.*EnvConfig\(\*\*fundenv"):
        make(config=EnvConfig(leverage=2.0))
    whole = EnvConfig(**PORTFOLIO | {"leverage": 2.0, "keeper_watches": "wallet"})
    assert make(config=whole).unwrapped.batch.config == whole
    with pytest.raises(ConfigError, match="both config and leverage are given"):
        make(config=whole, leverage=3.0)


def test_the_parts_of_random_steps_add_up() -> None:
    check_accounting(**PORTFOLIO, market=portfolio_market(), num_envs=8, steps=200)


def test_single_symbols_are_joined_and_spans_that_do_not_meet_are_refused() -> None:
    coins = [synthetic_market(name, years=0.1, seed=s) for s, name in enumerate(("btc", "eth"))]
    market = portfolio_market(stack(coins))
    assert market.n_assets == 2
    assert portfolio_market(market) is market
    with pytest.raises(SplitError):
        portfolio_market(stack(coins), ["SYNTH-BTC-0", "NOTHING"])


@pytest.mark.parametrize("make", [gymnasium.make, gymnasium.make_vec])
def test_symbols_choose_among_the_coins_of_a_joint_market(make) -> None:
    market = make(ID, symbols=["SYNTH-ETH-0", "SYNTH-BTC-0"]).unwrapped.batch.market
    assert market.symbols == (("SYNTH-ETH-0", "SYNTH-BTC-0"),)
    assert np.array_equal(market.bars, portfolio_market().bars[:, [1, 0]])
    assert np.array_equal(market.features, portfolio_market().features[:, [1, 0]])
    with pytest.raises(SplitError, match="symbol 'XXX' is not in the market; it has SYNTH-BTC"):
        make(ID, symbols=["XXX"])
    with pytest.raises(SplitError, match="each once"):
        make(ID, symbols=["SYNTH-BTC-0", "SYNTH-BTC-0"])


def test_observations_part_into_those_of_the_coins_and_of_the_account() -> None:
    env = gymnasium.make_vec(ID, num_envs=2)
    obs, _ = env.reset(seed=0)
    coins, account = by_asset(obs, 3)
    table = env.unwrapped.observation_table  # type: ignore[attr-defined]
    names = [column.name for column in table]
    assert coins.shape[:2] == (2, 3)
    own = coins.shape[2] - 1
    assert names[own] == f"1:{names[0].removeprefix('0:')}"
    assert names[-3:] == ["0:available", "1:available", "2:available"]
    assert np.array_equal(coins[:, 1, :own], obs[:, own : 2 * own])
    assert (coins[:, :, own] == 1.0).all()
    assert np.array_equal(account, obs[:, 3 * own : 3 * own + len(ACCOUNT_COLUMNS)])
    assert by_asset(obs[0], 3)[0].shape == coins.shape[1:]
    with pytest.raises(ValueError, match="do not fit 11 assets"):
        by_asset(obs, 11)
