"""Named shocks in the benchmark: where they are laid, what is measured, and how it is summed up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from experiments.benchmarking import stress
from experiments.rollout.make import roll_out
from fundenv.market import Market, splice, synthetic_market
from fundenv.market.synthetic.ratios import TapeError
from fundenv.market.synthetic.shocks import SHOCKS

STEPWISE = ("time", "reward", "parts", "turnover", "liquidations", "states", "actions")
SETTINGS: dict[str, Any] = {"venue": "binance", "cash_rate": 0.03}


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(years=0.4, paths=2, seed=3)


@pytest.fixture(scope="module")
def given(market: Market) -> stress.Scenarios:
    found = stress.scenarios(market, SETTINGS)
    assert found is not None
    return found


def test_every_shock_is_laid_on_every_path_at_three_places_on_the_grid_of_decisions(
    market: Market, given: stress.Scenarios
) -> None:
    names = ["+".join(symbols) for symbols in market.symbols]
    wanted = [(shock, name) for shock in SHOCKS for name in names for _ in stress.PLACES]
    assert list(zip(given.shocks, given.symbols, strict=True)) == wanted
    assert (given.begins // 3_600_000_000_000 % 8 == 0).all()
    for number, (first, last) in enumerate(given.market.paths):
        original = names.index(given.symbols[number])
        low = (
            int(
                np.searchsorted(
                    market.close_ns[slice(*market.paths[original])], given.market.close_ns[first]
                )
            )
            + market.paths[original, 0]
        )
        row = int(np.searchsorted(given.market.close_ns[first:last], given.begins[number]))
        assert row >= 31 * 24
        # nothing shows before
        np.testing.assert_array_equal(
            given.market.bars[first : first + row + 1], market.bars[low : low + row + 1]
        )
        assert (
            given.market.bars[first + row + 1 : last]
            != market.bars[low + row + 1 : low + last - first]
        ).any()
        assert last - first - row == SHOCKS[given.shocks[number]].hours + stress.AFTER + 1


def test_what_is_measured_is_the_rollout_from_the_beginning_of_the_shock(
    market: Market, given: stress.Scenarios
) -> None:
    agent = agents.make("carry", leverage=5.0)
    found = stress.run_scenarios(agent, given, SETTINGS)
    # the first place of the first path: the scenario begins with the path
    number = given.shocks.index("2022-11-09")
    first, last = market.paths[0]
    row = int(np.searchsorted(market.close_ns[first:last], given.begins[number]))
    alone = splice(
        replace(market, paths=market.paths[:1], symbols=market.symbols[:1]), "2022-11-09", at=row
    )
    item = roll_out(agent, alone, SETTINGS)[0]
    own = found[(found["shock"] == "2022-11-09") & (found["symbol"] == given.symbols[number])]
    own = own[own["begin"] == own["begin"].min()]
    k = int(np.flatnonzero(item.time == given.begins[number])[0])
    equity = item.equity[k + 1 : k + 2 + len(own)]
    np.testing.assert_allclose(own["growth"], np.log(equity[1:] / equity[0]), rtol=1e-12)
    np.testing.assert_allclose(
        own["fall"], (1 - equity / np.maximum.accumulate(equity))[1:], rtol=1e-9, atol=1e-15
    )
    np.testing.assert_array_equal(
        own["liquidations"], np.cumsum(item.liquidations[k + 1 : k + 1 + len(own)])
    )
    assert own["hour"].tolist() == list(range(8, 8 * len(own) + 1, 8))
    assert own["growth"].iloc[-1] < -0.05  # funding of -2 % every two hours for a day
    assert (own["held"] > 0.5).all()


def test_an_account_that_was_ruined_before_the_shock_leaves_no_line(
    given: stress.Scenarios, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say what a shock did to accounts that had ended before it; accounts that it ruins
    stay in the picture.
    """
    real = stress.roll_out_paths

    def ruined_once(*args: Any) -> Any:
        made = real(*args)
        gone = int(np.searchsorted(made[0].time, given.begins[0])) - 2
        ended = {name: getattr(made[0], name)[:gone] for name in STEPWISE}
        return [replace(made[0], **ended, equity=made[0].equity[: gone + 1]), *made[1:]]

    monkeypatch.setattr(stress, "roll_out_paths", ruined_once)
    found = stress.run_scenarios(agents.make("carry"), given, SETTINGS)
    begun = set(found[["shock", "symbol", "begin"]].itertuples(index=False, name=None))
    begins = (pd.Timestamp(int(begin), tz="UTC") for begin in given.begins)
    assert begun == set(list(zip(given.shocks, given.symbols, begins, strict=True))[1:])


def test_who_is_flat_earns_the_cash_rate_alone(given: stress.Scenarios) -> None:
    found = stress.run_scenarios(agents.make("flat"), given, SETTINGS)
    np.testing.assert_allclose(found["growth"], 0.03 * found["hour"] / 8760, rtol=1e-3)
    assert found[["fall", "liquidations", "held"]].to_numpy().max() == 0


def test_the_table_takes_the_mean_of_ends_the_worst_fall_and_liquidations_per_account(
    tmp_path: Any,
) -> None:
    def account(
        agent: str,
        shock: str,
        symbol: str,
        growth: list[float],
        fall: list[float],
        liquidations: list[int],
        held: float,
    ) -> Any:
        rows = {
            "agent": agent,
            "seed": 0,
            "shock": shock,
            "symbol": symbol,
            "begin": pd.Timestamp("2024-01-01", tz="UTC"),
        }
        return pd.DataFrame(
            {
                "hour": [8, 16],
                "growth": growth,
                "fall": fall,
                "liquidations": liquidations,
                "carry": held,
            }
        ).assign(**rows, held=held)

    frame = pd.concat(
        [
            account("carry", "2020-03-12", "A", [-0.05, -0.01], [0.05, 0.02], [1, 1], 1.0),
            account("carry", "2020-03-12", "B", [0.01, 0.03], [0.0, 0.01], [0, 0], 0.0),
            account("carry", "2025-10-10", "A", [0.0, 0.02], [0.0, 0.0], [0, 2], 0.5),
            account("carry", "2025-10-10", "B", [0.0, 0.0], [0.0, 0.0], [0, 0], 0.0),
        ]
    )
    header, line = stress.table(frame)
    assert header == [
        "agent",
        "invested",
        "2020-03-12",
        "fall",
        "liq.",
        "2025-10-10",
        "fall",
        "liq.",
    ]
    assert line == ["carry", "0.50", "+1.00", "5.00", "0.50", "+1.00", "0.00", "1.00"]
    stress.picture(frame, tmp_path / "stress.png")
    assert (tmp_path / "stress.png").read_bytes()[:4] == b"\x89PNG"


def test_a_market_without_room_or_without_hours_has_no_scenarios(market: Market) -> None:
    short = replace(
        market, paths=market.paths[:1] * 0 + np.array([[0, 770]]), symbols=market.symbols[:1]
    )
    found = stress.scenarios(short, SETTINGS)
    assert found is not None  # 24 hours fit after 31 days, 40 do not
    assert set(found.shocks) == {"2021-05-19", "2025-10-10"}
    assert stress.scenarios(replace(short, paths=np.array([[0, 740]])), SETTINGS) is None
    assert stress.scenarios(replace(short, bar_hours=8.0), SETTINGS) is None


def test_why_there_is_no_table_is_said(
    market: Market, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stress.scenarios_or_note(replace(market, bar_hours=8.0), SETTINGS) is None
    assert (
        capsys.readouterr().out
        == "note  no table under stress: no path has hourly bars and room for a shock, 31 days"
        " before it\n"
    )

    def refused(*args: Any, **more: Any) -> Market:
        raise TapeError("cannot be unrolled")

    monkeypatch.setattr(stress, "splice", refused)
    assert stress.scenarios_or_note(market, SETTINGS) is None
    assert capsys.readouterr().out == "note  no table under stress: cannot be unrolled\n"
