"""A feature of the user's own: where it stands, and that it cannot look ahead."""

from __future__ import annotations

import gymnasium
import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, Market, add_feature, synthetic_market


@pytest.fixture(scope="module")
def market() -> Market:
    return synthetic_market(("btc", "eth"), years=0.2, paths=2, seed=3)


def gap(bars: pd.DataFrame) -> pd.Series:
    return (bars["mark_high"] / bars["mark_low"] - 1).rolling(24).max()


def test_the_observation_shows_the_feature_in_its_scale(market: Market) -> None:
    wider = add_feature(market, gap, name="range_day", scale=0.02, unit="fraction")
    assert wider.table[-1].name == "range_day"
    assert (wider.paths[:, 0] == market.paths[:, 0] + 23).all()  # its look-back
    row, asset = int(wider.paths[1, 0]) + 100, 1
    bars = market.bars[row - 23 : row + 1, asset]
    expected = (bars[:, 5] / bars[:, 6] - 1).max() / 0.02  # mark high, mark low
    assert wider.features[row, asset, -1] == pytest.approx(min(expected, 10), rel=1e-6)
    env = gymnasium.make("fundenv:fundenv/FundingHedge-v0", market=wider, episode="5D")
    observation, _ = env.reset(seed=0, options={"path": 1, "start": 100})
    names = [c.name for c in env.unwrapped.observation_table]  # type: ignore[attr-defined]
    assert observation[names.index("1:range_day")] == wider.features[row, asset, -1]


@pytest.mark.parametrize(
    "function",
    [
        lambda bars: bars["spot_close"].shift(-1).ffill(),
        lambda bars: bars["spot_close"] / bars["spot_close"].mean(),
        lambda bars: bars["spot_close"].rolling(9, center=True, min_periods=1).mean(),
        lambda bars: bars["spot_close"] / bars["spot_close"].iloc[-1],
    ],
)
def test_a_function_that_looks_ahead_is_refused(market: Market, function: object) -> None:
    with pytest.raises(
        DataError, match=r"looks ahead: at .* it is -?[\d.]+ with later rows and"
    ) as e:
        add_feature(market, function, name="tomorrow", scale=1.0)  # type: ignore[arg-type]
    assert "np." not in str(e.value)


def test_the_past_of_a_feature_does_not_change_with_the_future(market: Market) -> None:
    wider = add_feature(market, gap, name="range_day", scale=0.02)
    bars = market.bars.copy()
    first, last = market.paths[0]
    middle = (first + last) // 2
    bars[middle:last] *= 1.3
    later = add_feature(_with_bars(market, bars), gap, name="range_day", scale=0.02)
    np.testing.assert_array_equal(wider.features[first:middle], later.features[first:middle])


def _with_bars(market: Market, bars: np.ndarray) -> Market:
    from dataclasses import replace

    return replace(market, bars=bars)


@pytest.mark.parametrize(
    ("name", "function", "scale", "message"),
    [
        ("rsi", gap, 1.0, "taken"),
        ("funding_mine", gap, 1.0, "funding_"),
        ("a b", gap, 1.0, "identifier"),
        ("mine", gap, 0.0, "scale"),
        ("mine", lambda bars: 1.0, 1.0, "one number per row"),
        ("mine", lambda bars: bars["spot_close"] * np.nan, 1.0, "no number"),
        (
            "mine",
            lambda bars: bars["spot_close"].where(np.arange(len(bars)) != 50),
            1.0,
            "finite number",
        ),
    ],
)
def test_bad_features_are_refused_in_one_line(
    market: Market, name: str, function: object, scale: float, message: str
) -> None:
    with pytest.raises(DataError, match=message) as refused:
        add_feature(market, function, name=name, scale=scale)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
