"""The trade list of a rollout: complete, consistent with the account, and with the right reason on
every row.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import agents
from experiments.rollout.make import roll_out
from experiments.rollout.rollout import Rollout
from experiments.rollout.trades import COLUMNS, with_results
from fundenv.dynamics.types import PARTS
from fundenv.market import Market, joint, stack, synthetic_market

SETTINGS = {"venue": "binance", "cash_rate": 0.045}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def rolled(name: str, market: Market, **params: float) -> list[Rollout]:
    return roll_out(agents.make(name, **params), market, SETTINGS)


@pytest.mark.parametrize("name", ["zscore", "random"])
def test_every_fill_is_in_the_list(name: str, market: Market) -> None:
    for item in rolled(name, market):
        book = item.trades
        assert tuple(book.columns) == COLUMNS
        assert book["traded"].sum() == pytest.approx(item.turnover.sum(), rel=1e-12)
        unforced = book[book["reason"] != "liquidation"]
        np.testing.assert_allclose(
            unforced["perp_before"] + unforced["filled_perp"], unforced["perp_after"], atol=1e-9
        )
        np.testing.assert_allclose(
            book["spot_before"] + book["filled_spot"], book["spot_after"], atol=1e-9
        )
        assert (
            book["perp_before"].to_numpy()[1:] == book["perp_after"].to_numpy()[:-1]
        ).all()  # nothing moves between two rows


def test_entries_and_exits_alternate_and_the_keeper_is_no_decision(market: Market) -> None:
    book = rolled("zscore", market, entry=1.0)[0].trades
    decided = book[~book["reason"].isin(["margin keeper", "liquidation", "after liquidation"])]
    assert set(decided["reason"]) == {"enter carry", "exit"}
    assert (decided["reason"].to_numpy()[::2] == "enter carry").all()
    entered = decided[decided["reason"] == "enter carry"]
    assert (entered["funding_z"] >= 1.0).all()  # the row shows what the rule saw when it decided
    assert (entered["perp_after"] < 0).all()


def test_a_liquidation_is_called_one(market: Market) -> None:
    settings = SETTINGS | {"keeper_interval": None}
    made = roll_out(agents.make("carry", leverage=10.0), market, settings)
    found = [item for item in made if item.liquidations.sum() > 0]
    assert found, "the market of this test is to hold a liquidation at leverage 10 without a keeper"
    for item in found:
        liquidated = item.trades[item.trades["reason"] == "liquidation"]
        ends = pd.to_datetime(item.time[item.liquidations > 0], utc=True)
        assert sorted(liquidated["time"]) == sorted(ends)
        assert (item.trades["reason"] == "after liquidation").any() or (
            liquidated["spot_after"] == 0
        ).any()


def test_an_agent_that_never_trades_has_an_empty_list_with_all_columns(market: Market) -> None:
    book = rolled("flat", market)[0].trades
    assert len(book) == 0
    assert tuple(book.columns) == COLUMNS


def test_chained_paths_scale_the_sizes_with_the_money() -> None:
    early, late = (
        synthetic_market(years=0.3, paths=1, seed=4, start=day)
        for day in ("2021-01-01", "2022-01-01")
    )
    chained = rolled("carry", stack([early, late]))
    assert len(chained) == 1
    alone = rolled("carry", late)[0].trades
    tail = (
        chained[0].trades[chained[0].trades["time"] >= alone["time"].iloc[0]].reset_index(drop=True)
    )
    factor = tail["equity"].iloc[0] / alone["equity"].iloc[0]
    assert abs(factor - 1) > 1e-4
    np.testing.assert_allclose(tail["filled_perp"], factor * alone["filled_perp"], rtol=1e-12)


@pytest.mark.parametrize("name", ["zscore", "random"])
def test_fees_and_results_add_up_to_the_parts_of_the_account(name: str, market: Market) -> None:
    for item in rolled(name, market):
        book = item.trades
        assert book["fee"].sum() == pytest.approx(-item.parts[:, PARTS.index("fees")].sum())
        closing = np.isfinite(book["result"])
        flat = (book["spot_after"].abs() < 1e-9) & (book["perp_after"].abs() < 1e-9)
        assert (closing == flat).all()
        assert closing.any() == (name == "zscore")  # the random agent is never flat
        if closing.any():
            last = int(np.searchsorted(item.time, book.loc[closing, "time"].iloc[-1].value))
            earned = np.delete(item.parts[: last + 1], PARTS.index("cash_interest"), axis=1).sum()
            assert book["result"].sum() == pytest.approx(earned)


def test_one_round_trip_by_hand() -> None:
    """Two trades: the second leaves the account flat, and its result is all that was booked from
    the first on but the interest on cash.
    """
    book = pd.DataFrame({name: [0.0, 0.0] for name in COLUMNS if name not in ("fee", "result")})
    book = book.assign(step=[1, 3], fee=[2.0, 2.0], equity=1000.0, perp_after=[-1.0, 0.0])
    parts = np.zeros((5, 9))
    parts[:, PARTS.index("cash_interest")] = 0.5
    parts[[1, 3], PARTS.index("fees")] = -2.0
    parts[2:4, PARTS.index("funding")] = 5.0
    found = with_results(book, parts, assets=1)["result"]
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(2 * 5.0 - 2 * 2.0)
    assert with_results(book, parts, assets=2)["result"].isna().all()


def test_fees_of_several_assets_of_one_account_are_told_apart() -> None:
    """Where both trade in one step, each row has the fees of its own legs, and together they are
    what the account booked.
    """
    coins = synthetic_market(("btc", "eth"), years=0.3, paths=1, seed=6)
    market = coins if coins.n_assets > 1 else joint(coins, [names[0] for names in coins.symbols])
    settings = SETTINGS | {"perp_fee": 0.0007, "spot_fee": 0.0013, "fee_scale": 2.0}
    for name in ("random", "carry"):
        item = roll_out(agents.make(name), market, settings)[0]
        book = item.trades
        assert book["fee"].notna().all()
        booked = pd.Series(-item.parts[:, PARTS.index("fees")], pd.to_datetime(item.time, utc=True))
        told = book.groupby("time")["fee"].sum()
        np.testing.assert_allclose(told, booked[told.index], rtol=1e-9, atol=1e-12)
        assert (book.groupby("time").size() == 2).any()
        perp = (book["filled_perp"] * book["perp_price"]).abs().fillna(0.0)
        spot = (book["filled_spot"] * book["spot_price"]).abs().fillna(0.0)
        once = perp + spot >= book["traded"] * (1 - 1e-9)  # no leg was filled both ways
        np.testing.assert_allclose(
            book["fee"][once], (2 * (0.0007 * perp + 0.0013 * spot))[once], rtol=1e-9
        )
        assert book["result"].isna().all()


def test_fees_of_several_assets_behind_a_crash_are_those_that_were_booked() -> None:
    """Orders behind a crash do not wait for the maker's fee."""
    coins = synthetic_market(("btc", "eth"), years=0.3, paths=1, seed=6)
    market = coins if coins.n_assets > 1 else joint(coins, [names[0] for names in coins.symbols])
    settings = SETTINGS | {"maker_share": 1.0, "crash_sigma": 0.2}
    item = roll_out(agents.make("random"), market, settings)[0]
    booked = pd.Series(-item.parts[:, PARTS.index("fees")], pd.to_datetime(item.time, utc=True))
    told = item.trades.groupby("time")["fee"].sum()
    np.testing.assert_allclose(told, booked[told.index], rtol=1e-9, atol=1e-12)
