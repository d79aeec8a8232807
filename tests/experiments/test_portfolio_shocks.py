"""What agents on one capital hold in the hours of shocks: laid over a market, and on real dates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import agents
from experiments.core.run_folder import RunError
from experiments.studies import portfolio_shocks as study
from fundenv.market import Market, joint, load_market
from fundenv.market.synthetic.shocks import SHOCKS
from tests.markets import write_coins

SYMBOLS = ("AAAUSDT", "BBBUSDT")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    write_coins(out, SYMBOLS, years=0.45, start="2020-01-01")
    return out


@pytest.fixture(scope="module")
def coins(folder: Path) -> Market:
    return joint(load_market(folder, list(SYMBOLS), venue="binance"), list(SYMBOLS), common=True)


def args_for(folder: Path, out: Path) -> study.Args:
    return study.Args(
        data=folder,
        symbols=SYMBOLS,
        agents=("equal_weight leverage=1", "flat"),
        laid="2020-02:2020-05",
        out=out,
    )


def test_real_days_are_walked_and_those_that_were_learned_from_are_named(
    folder: Path, coins: Market, tmp_path: Path
) -> None:
    args = args_for(folder, tmp_path)
    learned = pd.Timestamp("2020-02-01", tz="UTC"), pd.Timestamp("2020-05-01", tz="UTC")
    later = pd.Timestamp("2020-04-20", tz="UTC"), pd.Timestamp("2020-05-01", tz="UTC")
    rule = study.real(agents.make("equal_weight"), coins, args, learned)
    assert set(rule["shock"]) == {"2020-03-12"}  # the only one within the data
    assert set(rule["where"]) == {"real"}
    learner = agents.make("learned_margin")  # untrained: the rule that it starts from
    assert set(study.real(learner, coins, args, learned)["where"]) == {"real, seen in training"}
    assert set(study.real(learner, coins, args, later)["where"]) == {"real"}


def test_a_shock_is_measured_from_its_beginning(
    folder: Path, coins: Market, tmp_path: Path
) -> None:
    args = args_for(folder, tmp_path)
    found = study.laid(agents.make("equal_weight"), coins, args)
    assert set(found["shock"]) == set(SHOCKS)
    for _, own in found.groupby(["shock", "place"]):
        begun = own[own["hour"] <= 0]
        assert begun["growth"].iloc[-1] == pytest.approx(0.0, abs=1e-12)
        assert (begun["fall"].to_numpy()[:-1] == 0).all()
        assert own["hour"].is_monotonic_increasing
        assert own["notional"].between(0.2, 3.0).all()
        lowest = np.maximum.accumulate(own["growth"][own["hour"] >= 0]) - own["growth"]
        assert own["fall"].max() == pytest.approx(-np.expm1(-lowest.max()), abs=1e-9)
    flat = study.laid(agents.make("flat"), coins, args)
    assert not flat["notional"].any()
    assert not flat["liquidations"].any()


def test_the_command_writes_a_table_and_a_picture(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study.main(args_for(folder, tmp_path))
    said = capsys.readouterr().out
    assert "| 2022-11-09 | flat | laid | 0.00 | 0.00 | 0.00 |" in said
    assert (tmp_path / "shocks.png").stat().st_size > 5000
    assert (tmp_path / "shocks.md").read_text() in said + "\n"
    empty = study.Args(data=folder, agents=())
    with pytest.raises(RunError, match="--agents is empty"):
        study.main(empty)
