"""Columns of the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundenv.forecast import ForecastError, read_extra
from fundenv.forecast.extra import as_of

DAY = 86_400_000_000_000


def test_a_value_is_known_from_its_time_for_a_day(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("time,hint\n2024-01-01,1\n2024-01-02 12:00,2\n")
    table = read_extra(path)
    start = int(pd.Timestamp("2024-01-01", tz="UTC").value)
    closes = start + np.array([-1, 0, DAY, DAY + 1, 3 * DAY // 2, 4 * DAY], dtype=np.int64)
    found = as_of(table, "BTCUSDT", closes)["user:hint"]
    np.testing.assert_array_equal(found, [np.nan, 1, 1, np.nan, 2, np.nan])


def test_rows_of_a_symbol_are_its_own(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    times = pd.to_datetime(["2024-01-01"] * 2 + ["2024-01-02"] * 2, utc=True)
    pd.DataFrame({"time": times, "symbol": ["A", "B"] * 2, "x": [1.0, 2, 3, 4]}).to_parquet(path)
    table = read_extra(path)
    close = np.array([int(times[0].value)], dtype=np.int64)
    assert as_of(table, "A", close)["user:x"][0] == 1.0
    assert as_of(table, "B", close)["user:x"][0] == 2.0
    with pytest.raises(ForecastError, match=r"no row of C \(found A, B\)"):
        as_of(table, "C", close)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("when,x\n2024-01-01,1\n", "column time is missing (found when, x)"),
        ("time,x\nsoon,1\n", "row 0: 'soon' is no instant"),
        ("time\n2024-01-01\n", "no column beside time and symbol"),
        ("time,x\n2024-01-01,up\n", "column x holds no finite numbers"),
        ("time,x\n2024-01-01,1\n2024-01-02,1\n", "column x is 1 in every row"),
    ],
)
def test_a_file_that_says_nothing_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(ForecastError) as error:
        read_extra(path)
    assert said in str(error.value)
    with pytest.raises(ForecastError, match="no such file"):
        read_extra(tmp_path / "none.csv")
