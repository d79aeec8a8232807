"""How far mark runs beyond a liquidation price, on bars made by hand."""

import numpy as np
import pytest

from experiments.studies.liquidation_gap import overshoots
from tests.markets import bar, tape


def test_the_way_beyond_the_price_is_measured_from_the_bar_that_reaches_it():
    # a short at 100 with leverage 10 and no maintenance is liquidated at 110: the second bar runs
    # to 112 and closes at 111, the third to 115. The long (90) never is
    market = tape(bar(100, 105), bar(105, 111, high=112), bar(111, high=115), bar(111, 104))
    (row,) = overshoots(market.bars, market.paths, 4, (10.0,), 0.0).to_dict("records")
    assert row["liquidations"] == 1
    assert row["further"] == pytest.approx(5 / 110)
    assert row["extreme"] == pytest.approx(2 / 5)
    assert row["close"] == pytest.approx(1 / 5)


def test_nothing_is_measured_where_nobody_is_liquidated():
    market = tape(*[bar(100)] * 8)
    (row,) = overshoots(market.bars, market.paths, 4, (10.0,), 0.005).to_dict("records")
    assert row["liquidations"] == 0
    assert np.isnan(row["further"])
