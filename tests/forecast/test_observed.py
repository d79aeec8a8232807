"""Columns that a command adds: causal, informative where they are, refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import agents
from agents import AgentError
from agents.base import observed as column_of
from agents.rules.base import BP_PER_YEAR
from agents.rules.ewma import Ewma
from agents.rules.forecast_leverage import ForecastLeverage
from experiments import evaluate
from experiments.core.added_columns import recorded, said
from experiments.core.market_args import MarketArgs
from experiments.core.run_folder import RunError
from experiments.rollout.make import roll_out
from fundenv.batch.cpu import Batch
from fundenv.forecast import ForecastError, panel_of
from fundenv.forecast.columns import perfect, with_forecasts
from fundenv.forecast.observed import with_extra, with_forecast_columns
from fundenv.market import Market, load_market, synthetic_frames, synthetic_market, write_frames
from fundenv.market import layout as c

MARKET = synthetic_market("alt", years=1.0, seed=2)


def tips(market: Market) -> pd.DataFrame:
    """A column that is informative by construction: the mean rate of the 63 settlements to come."""
    (history,) = panel_of(market)
    ahead = pd.Series(history.targets((63,))[:, 0]).ffill()
    return pd.DataFrame({"time": pd.to_datetime(history.ns, utc=True), "tip": ahead})


class Told(Ewma):
    """The rule `ewma`, on the column `tip` in place of its mean."""

    name = "told"

    def look_up(self, batch: Any) -> None:
        super().look_up(batch)
        self.tip = column_of(batch.observation_table, "tip")

    def signal(self, obs: Any) -> Any:
        hurdle = self.cash_rate.of(obs) * BP_PER_YEAR * (1.0 + self.p.leverage) / self.p.leverage
        return self.tip.of(obs) - hurdle


def test_a_rule_that_reads_an_informative_column_earns_more(tmp_path: Path) -> None:
    frames = synthetic_frames("alt", years=1.0, seed=2)
    write_frames(frames, tmp_path, venue="binance")
    tips(load_market(tmp_path)).to_csv(tmp_path / "tips.csv", index=False)
    args = MarketArgs(data=tmp_path, extra=(str(tmp_path / "tips.csv"), "tip=3"))
    markets = args.markets()
    assert (markets["test"].table[-1].name, markets["test"].table[-1].scale) == ("tip", 3.0)
    growth: dict[str, list[float]] = {"told": [], "ewma": []}
    for market in markets.values():
        for name, agent in (("told", Told()), ("ewma", Ewma())):
            items = roll_out(
                agent, market, {"cash_rate": 0.15}
            )  # about what the coin's funding pays
            growth[name] += [item.metrics().net_log_growth for item in items]
    assert np.mean(growth["told"]) > np.mean(growth["ewma"]) + 0.02


def test_the_future_changes_no_row_of_an_extra_column() -> None:
    table = tips(MARKET)
    cut = table["time"].iloc[600]
    other = table.copy()
    other.loc[table["time"] > cut, "tip"] = 99.0
    one, two = (with_extra(MARKET, each, {}) for each in (table, other))
    known = MARKET.close_ns <= cut.as_unit("ns").value
    np.testing.assert_array_equal(one.features[known], two.features[known])
    assert not np.array_equal(one.features[~known], two.features[~known])
    # the last value known at the close: the row of that very instant counts
    k = int(np.searchsorted(MARKET.close_ns, cut.as_unit("ns").value))
    assert one.features[k, 0, -1] == np.float32(np.clip(table["tip"].iloc[600], -10, 10))


@pytest.mark.parametrize("name", ["clipped_har", "ridge"])
def test_the_future_changes_no_row_of_a_forecast_column(name: str) -> None:
    """Rates, prices and features after a row are others; the columns up to it stay the same, fits
    of later folds included.
    """
    cut = 700 * 8
    bars, features = MARKET.bars.copy(), MARKET.features.copy()
    bars[cut:, 0, c.SETTLE_RATE] = 0.003
    bars[cut:, 0, c.PERP_CLOSE] *= 1.5
    features[cut:] = 1.0
    other = replace(MARKET, bars=bars, features=features)
    one, two = (
        with_forecast_columns(each, name, horizons=(1, 9), refit_months=1)
        for each in (MARKET, other)
    )
    assert one.paths.tolist() == two.paths.tolist()
    first = int(one.paths[0, 0])
    assert 540 * 8 <= first < cut - 1000  # the first half year goes to the first fit
    rows = slice(first, cut)
    np.testing.assert_array_equal(one.features[rows, 0, -6:], two.features[rows, 0, -6:])
    assert not np.array_equal(one.features[cut + 50 :, 0, -6:], two.features[cut + 50 :, 0, -6:])
    mean, low, high = one.features[rows, 0, -6:-3].T
    assert (low <= high).all()
    assert np.std(mean) > 0


def test_leverage_follows_mean_and_width() -> None:
    market = with_forecasts(MARKET, perfect(MARKET), (9,))
    agent = ForecastLeverage(ForecastLeverage.parameters(horizon=9, gain=2.0, highest=6.0))
    batch = Batch(1, market=market, **agent.env_settings())
    agent.bind(batch)
    batch.reset(0)
    obs = np.repeat(batch.obs, 4, axis=0)
    table = batch.observation_table

    def put(name: str, values: list[float]) -> None:
        column = column_of(table, name)
        obs[:, column.at[0]] = np.array(values) / column.scale[0]

    sd = 2 * 1.6448536
    put("forecast_9", [2.0, 2.0, 4.0, -1.0])
    put("forecast_9_low", [2.0 - sd / 2, 2.0 - sd, 4.0 - sd / 2, -1.0])
    put("forecast_9_high", [2.0 + sd / 2, 2.0 + sd, 4.0 + sd / 2, -1.0])
    put("volatility_7d", [0.05] * 4)  # no danger of liquidation
    leverage, mean = agent.wanted(obs)
    # gain 2 x mean over a spread of 1, 2, 1 bp; a negative mean takes the lowest
    np.testing.assert_allclose(leverage[:, 0], [4.0, 2.0, 6.0, 1.0], rtol=1e-4)
    np.testing.assert_allclose(mean[:, 0], [2.0, 2.0, 4.0, -1.0], rtol=1e-5)
    put("volatility_7d", [3.0] * 4)  # wild prices: the limit of liquidation rules
    assert (agent.wanted(obs)[0] < 2.0).all()


def test_horizons_may_differ_between_environments() -> None:
    market = with_forecasts(MARKET, perfect(MARKET), (1, 63))
    both = agents.make("forecast")
    both.vary({"horizon": [1, 63]})
    batch = Batch(2, market=market, **both.env_settings())
    both.bind(batch)
    batch.reset(0, starts=np.array([2000, 2000]))
    signal = both.signal(batch.obs)
    for i, horizon in enumerate((1, 63)):
        one = agents.make("forecast", horizon=horizon)
        one.bind(batch)
        np.testing.assert_array_equal(signal[i], one.signal(batch.obs)[i])
    assert signal[0, 0] != signal[1, 0]


def test_a_market_without_the_column_is_refused_in_one_line() -> None:
    batch = Batch(1, market=MARKET, actions="target")
    for name in ("forecast", "forecast_leverage"):
        with pytest.raises(AgentError, match="no column forecast_63") as caught:
            agents.make(name).bind(batch)
        assert "--forecast" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_evaluation_takes_the_columns_of_the_training(tmp_path: Path) -> None:
    def run(name: str, **config: Any) -> str:
        folder = tmp_path / name
        folder.mkdir()
        base: dict[str, Any] = {
            "extra": [], "forecast": None, "forecast_horizons": [1, 9],
            "forecast_refit": 6,
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(base | config))
        (folder / "provenance.json").write_text("{}")
        return str(folder)

    one, none = run("one", forecast="ridge"), run("none")
    other = run("other", extra=["own.csv", "x=2"])
    assert (
        said(recorded(Path(one))) == "--forecast ridge --forecast-horizons 1 9 --forecast-refit 6"
    )
    assert recorded(Path(none)) == {}
    taken = evaluate.with_trained_columns(evaluate.Args(agents=(f"{one}|zscore", "carry")))
    assert (taken.forecast, taken.forecast_horizons) == ("ridge", (1, 9))
    taken = evaluate.with_trained_columns(evaluate.Args(agents=(other,)))
    assert taken.extra == ("own.csv", "x=2")
    plain = evaluate.Args(agents=(none, "carry"))
    assert evaluate.with_trained_columns(plain) == plain
    with pytest.raises(RunError, match="different added columns"):
        evaluate.with_trained_columns(evaluate.Args(agents=(one, other)))


@pytest.mark.parametrize(
    ("given", "said_"),
    [
        ({"extra": ("a.csv", "b.csv")}, "give one file"),
        ({"forecast": "ridge", "train_on": "generator"}, "--forecast: coins of the generator"),
        ({"forecast": "rigde"}, "unknown forecaster 'rigde'"),
        ({"forecast": "har", "forecast_horizons": (2,)}, "horizon 2: give some of 1, 3, 9"),
        ({"forecast": "har", "forecast_refit": 0}, "0 months between two fits"),
        ({"extra": ("none.csv",)}, "none.csv: no such file"),
    ],
)
def test_a_slip_is_answered_in_one_line(given: dict[str, Any], said_: str) -> None:
    with pytest.raises((RunError, ForecastError), match=said_) as caught:
        MarketArgs(**given).markets()
    assert "\n" not in str(caught.value)


def test_names_and_scales_of_an_extra_column_are_checked() -> None:
    table = tips(MARKET)
    with pytest.raises(ForecastError, match="scale of 'x': the file has no such column"):
        with_extra(MARKET, table, {"x": 1.0})
    with pytest.raises(ForecastError, match="scale of tip = 0"):
        with_extra(MARKET, table, {"tip": 0.0})
    with pytest.raises(ForecastError, match="the market has a column of that name"):
        with_extra(MARKET, table.rename(columns={"tip": "basis"}), {})
