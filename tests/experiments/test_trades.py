"""The trade list of a walk: complete, consistent with the account, and with the right reason on
every row.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import agents
from experiments.rollout.rollout import Walk, walk
from experiments.rollout.trades import COLUMNS
from fundenv.market import Market, stack, synthetic_market

SETTINGS = {"venue": "binance", "cash_rate": 0.045}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.5, paths=2, seed=3)


def walked(name: str, market: Market, **params: float) -> list[Walk]:
    return walk(agents.make(name, **params), market, SETTINGS)


@pytest.mark.parametrize("name", ["zscore", "random"])
def test_every_fill_is_in_the_list(name: str, market: Market) -> None:
    for item in walked(name, market):
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
    book = walked("zscore", market, entry=1.0)[0].trades
    decided = book[~book["reason"].isin(["margin keeper", "liquidation", "after liquidation"])]
    assert set(decided["reason"]) == {"enter carry", "exit"}
    assert (decided["reason"].to_numpy()[::2] == "enter carry").all()
    entered = decided[decided["reason"] == "enter carry"]
    assert (entered["funding_z"] >= 1.0).all()  # the row shows what the rule saw when it decided
    assert (entered["perp_after"] < 0).all()


def test_a_liquidation_is_called_one(market: Market) -> None:
    walks = walk(agents.make("carry", leverage=10.0), market, SETTINGS | {"keeper_interval": None})
    found = [item for item in walks if item.liquidations.sum() > 0]
    assert found, "the market of this test is to hold a liquidation at leverage 10 without a keeper"
    for item in found:
        struck = item.trades[item.trades["reason"] == "liquidation"]
        ends = pd.to_datetime(item.time[item.liquidations > 0], utc=True)
        assert sorted(struck["time"]) == sorted(ends)
        assert (item.trades["reason"] == "after liquidation").any() or (
            struck["spot_after"] == 0
        ).any()


def test_an_agent_that_never_trades_has_an_empty_list_with_all_columns(market: Market) -> None:
    book = walked("flat", market)[0].trades
    assert len(book) == 0
    assert tuple(book.columns) == COLUMNS


def test_chained_paths_scale_the_sizes_with_the_money() -> None:
    early, late = (
        synthetic_market(years=0.3, paths=1, seed=4, start=day)
        for day in ("2021-01-01", "2022-01-01")
    )
    chained = walked("carry", stack([early, late]))
    assert len(chained) == 1
    alone = walked("carry", late)[0].trades
    tail = (
        chained[0].trades[chained[0].trades["time"] >= alone["time"].iloc[0]].reset_index(drop=True)
    )
    factor = tail["equity"].iloc[0] / alone["equity"].iloc[0]
    assert abs(factor - 1) > 1e-4
    np.testing.assert_allclose(tail["filled_perp"], factor * alone["filled_perp"], rtol=1e-12)
