"""No look-ahead, from the files on: what a forecaster says at an origin does not change where every
later row of every file (rates of all coins, bars, open interest, a user's columns) is another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundenv.forecast import GROUPS, Panel, make, names, panel_of, read_extra
from fundenv.forecast.inputs import matrices
from fundenv.market import load_market, synthetic_frames, write_frames
from tests.forecast.test_forecasters import SMALL

FITTED = pd.Timestamp("2020-11-01", tz="UTC")
CUT = pd.Timestamp("2020-12-01 08:00", tz="UTC")  # a settlement
Write = Callable[[Path, pd.Timestamp | None], Panel]


def spoilt(
    table: pd.DataFrame | None, known: pd.Timestamp, *, strict: bool = False
) -> pd.DataFrame | None:
    """Every number after `known` is another (`strict`: at it too, as of bars that open then), in a
    range that no check of plausibility stops.
    """
    if table is None:
        return None
    late = table["time"] >= known if strict else table["time"] > known
    numbers = table.select_dtypes("number").columns
    made = table.copy()
    hour = table["time"].dt.hour.to_numpy()
    factor = np.where(hour % 2, 1.02, 0.99)  # the same for spot and perpetual: the basis stays
    made.loc[late, numbers] = made[numbers].mul(factor, axis=0)[late]
    if "rate" in made:
        made.loc[late, "rate"] += 5e-5
    if {"high", "low"} <= set(made):  # a bar stays a bar
        ends = made[["open", "high", "low", "close"]]
        made["high"], made["low"] = ends.max(axis=1), ends.min(axis=1)
    return made


def panel_until(folder: Path, delay: int, known: pd.Timestamp | None) -> Panel:
    """The panel of three coins with all inputs; after `known` all files say something else."""
    times = pd.date_range("2019-11-01", "2021-01-20", freq="1h", tz="UTC")
    wave = np.sin(np.arange(len(times)) / 40)
    own = pd.DataFrame({"time": times, "mood": wave, "rate_elsewhere": 1.0 + wave})
    for coin, seed in (("btc", 0), ("eth", 1), ("alt", 2)):
        frames = synthetic_frames(coin, years=1.1, seed=seed)
        interest = pd.DataFrame({"time": times, "open_interest": 2e4 * (2.0 + wave)})
        if known is not None:
            settled = CUT  # with a delay no settlement lies between it and the origin
            frames = replace(
                frames,
                funding=spoilt(frames.funding, settled),
                **{
                    kind: spoilt(getattr(frames, kind), known, strict=True)
                    for kind in ("perp", "spot", "mark")
                },
            )
            interest = spoilt(interest, known)
        write_frames(frames, folder, venue="binance")
        interest.to_parquet(folder / f"binance_{frames.symbol}_oi.parquet")
    if known is not None:
        own = spoilt(own, known)
    own.to_csv(folder / "own.csv", index=False)
    market = load_market(folder, extra={"open_interest": 1e9}, accept=("spike",))
    return panel_of(market, delay_hours=delay, extra=read_extra(folder / "own.csv"))


@pytest.fixture(scope="module", params=[0, 4])
def panels(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Panel, Panel]:
    """The same files with and without another future after the origin of CUT."""
    delay: int = request.param
    origin = CUT + pd.Timedelta(delay, "h")
    return (
        panel_until(tmp_path_factory.mktemp("files"), delay, None),
        panel_until(tmp_path_factory.mktemp("spoilt"), delay, origin),
    )


@pytest.mark.parametrize("group", GROUPS)
def test_no_input_knows_the_future(group: str, panels: tuple[Panel, Panel]) -> None:
    one, two = (matrices(panel, (group,)) for panel in panels)
    assert one[0] == two[0]
    for history, before, after in zip(panels[0], one[1], two[1], strict=True):
        known = history.ns <= CUT.as_unit("ns").value
        assert known.sum() > 900
        np.testing.assert_array_equal(after[known], before[known])
        assert not np.array_equal(after[~known], before[~known])
        assert (np.ptp(before[known], axis=0) > 0).all(), (
            "an input that stands still proves nothing"
        )


@pytest.mark.parametrize("name", [*names(), "tcn residual=true embedding=2"])
def test_no_forecast_knows_the_future(name: str, panels: tuple[Panel, Panel]) -> None:
    kind = {"inputs": tuple(GROUPS)} if make(name).groups or name == "ensemble" else {}
    fitted = make(name, **kind, **SMALL.get(name.split()[0], {})).fit(panels[0], (None, FITTED))
    if kind and name != "ensemble":
        assert fitted.inputs == tuple(GROUPS)
    for before, after in zip(*(fitted.predict(panel) for panel in panels), strict=True):
        known = before.ns <= CUT.as_unit("ns").value
        assert known.sum() == 92
        np.testing.assert_array_equal(after.mean[: known.sum()], before.mean[known])
        np.testing.assert_array_equal(after.quantiles[: known.sum()], before.quantiles[known])
        assert not np.array_equal(after.mean[known.sum() :], before.mean[~known])
