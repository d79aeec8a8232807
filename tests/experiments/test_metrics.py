"""Every metric on numbers that can be done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fundenv import metrics
from fundenv.dynamics.types import PARTS

NO_PARTS = np.zeros((3, 9))


def parts_of(equity: list[float], funding: list[float]) -> np.ndarray:
    """Parts that add up to the change of equity: funding as given, the rest to spot_pnl."""
    parts = np.zeros((len(funding), 9))
    parts[:, PARTS.index("funding")] = funding
    parts[:, PARTS.index("spot_pnl")] = np.diff(equity) - funding
    return parts


def test_growth_is_annual_and_net_of_the_cash_rate() -> None:
    # 10 % in half a year is ln(1.1) / 0.5 a year
    steps = 365 * 3 // 2 + 1  # 548 steps of 8 h
    equity = np.linspace(100, 110, steps + 1)
    figures = metrics.measure(equity, np.zeros((steps, 9)), step_hours=8, cash_rate=0.04)
    assert figures.years == pytest.approx(548 * 8 / 8760)
    assert figures.net_log_growth == pytest.approx(math.log(1.1) / figures.years - 0.04)


def test_flat_at_the_cash_rate_is_zero_in_everything() -> None:
    equity = 100 * np.exp(0.05 * np.arange(31) / 365)
    figures = metrics.measure(equity, np.zeros((30, 9)), step_hours=24, cash_rate=0.05)
    assert figures.net_log_growth == pytest.approx(0, abs=1e-12)
    assert figures.sharpe == 0.0
    assert figures.max_drawdown == 0.0
    assert figures.time_in_market == 0.0


def test_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    assert metrics.drawdown(np.array([100.0, 120.0, 90.0, 130.0, 117.0])) == pytest.approx(
        [0, 0, 0.25, 0, 0.1]
    )


def test_sharpe_takes_the_sample_deviation_of_daily_returns() -> None:
    returns = np.array([0.01, 0.03, 0.02])  # mean 0.02, sample deviation 0.01
    assert metrics.sharpe(returns) == pytest.approx(2 * math.sqrt(365))
    assert metrics.sharpe(returns, days_per_return=2) == pytest.approx(2 * math.sqrt(365 / 2))


def test_daily_returns_take_every_third_step_of_8_hours() -> None:
    # closes within the days and the unfinished day do not matter
    equity = np.array([100.0, 1.0, 2.0, 110.0, 3.0, 4.0, 121.0, 5.0])
    daily = metrics.daily_net_log_returns(equity, step_hours=8, cash_rate=0.0365)
    assert daily == pytest.approx([math.log(1.1) - 1e-4] * 2)


def test_cvar_is_the_mean_of_the_worst_returns() -> None:
    returns = np.arange(100) / 1000 - 0.05  # worst: -0.050 .. -0.046
    assert metrics.cvar(returns, 0.95) == pytest.approx(-0.048)
    assert metrics.cvar(returns, 0.99) == pytest.approx(-0.05)
    assert metrics.cvar(returns[:7], 0.99) == pytest.approx(-0.05)  # at least one


def test_turnover_liquidations_and_time_in_market_are_per_year_and_per_step() -> None:
    equity = np.array([100.0, 100.0, 100.0, 100.0])
    figures = metrics.measure(
        equity,
        NO_PARTS,
        step_hours=8760 / 6,  # three steps make half a year
        cash_rate=0.0,
        turnover=np.array([100.0, 0.0, 50.0]),
        liquidations=np.array([0.0, 1.0, 0.0]),
        carry=np.array([0.0, 0.01, -0.5]),
    )
    assert figures.turnover_per_year == pytest.approx(3.0)
    assert figures.liquidations_per_year == pytest.approx(2.0)
    assert figures.time_in_market == pytest.approx(1 / 3)


def test_contributions_do_not_depend_on_the_level_of_equity() -> None:
    small, large = [100.0, 101.0], [1e6, 1.01e6]
    assert metrics.log_contributions(np.array(small), parts_of(small, [0.5])) == pytest.approx(
        metrics.log_contributions(np.array(large), parts_of(large, [5000.0]))
    )
    # half the gain came from funding, so half of ln(1.01) does
    assert metrics.log_contributions(np.array(small), parts_of(small, [0.5]))[
        0, 2
    ] == pytest.approx(0.5 * math.log(1.01))


def test_offsetting_parts_keep_their_size_where_equity_stands_still() -> None:
    equity = [200.0, 200.0]
    shares = metrics.log_contributions(np.array(equity), parts_of(equity, [2.0]))
    assert shares[0, 2] == pytest.approx(0.01)
    assert shares.sum() == pytest.approx(0.0, abs=1e-15)


@given(st.lists(st.tuples(st.floats(0.5, 2.0), st.floats(-50, 50)), min_size=1, max_size=30))
def test_parts_add_up_to_growth_plus_the_cash_rate(steps: list[tuple[float, float]]) -> None:
    equity = 100 * np.cumprod([1.0, *(factor for factor, _ in steps)])
    parts = parts_of(equity.tolist(), [funding for _, funding in steps])
    figures = metrics.measure(equity, parts, step_hours=8, cash_rate=0.03)
    scale = 1 + np.abs(metrics.log_contributions(equity, parts)).sum() / figures.years
    assert sum(figures.parts.values()) - 0.03 == pytest.approx(
        figures.net_log_growth, abs=1e-9 * scale
    )


def test_ruin_costs_a_great_deal_and_stays_finite() -> None:
    figures = metrics.measure(np.array([100.0, -5.0]), NO_PARTS[:1], step_hours=8760, cash_rate=0.0)
    assert figures.net_log_growth == pytest.approx(math.log(1e-6))
    assert figures.max_drawdown == pytest.approx(1.0, abs=1e-5)


def test_no_step_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        metrics.measure(np.array([100.0]), NO_PARTS[:0], step_hours=8, cash_rate=0.0)
