import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, check_table, read_table
from tests.market.tables import bars, funding


def broken(column, row, value, table=None):
    table = bars([100.0] * 5) if table is None else table
    table[column] = table[column].astype(object if isinstance(value, str) else table[column].dtype)
    table.loc[row, column] = value
    return table


BAD = [
    ("perp", bars([100.0] * 5).drop(columns="high"), "column high is missing", "rename or add it"),
    (
        "funding",
        funding([1e-4] * 3).rename(columns={"rate": "funding_rate"}),
        "column rate is missing",
        "funding_rate",
    ),
    ("perp", bars([100.0]), "1 row(s)", "at least 2"),
    (
        "perp",
        broken("close", 3, -1.0),
        "column close, row 3 (2024-01-01 03:00:00+00:00): -1.0",
        "a finite price > 0",
    ),
    ("perp", broken("open", 2, np.nan), "column open, row 2", "a finite price > 0"),
    ("perp", broken("low", 2, 0.0), "column low, row 2", "a finite price > 0"),
    ("perp", broken("high", 1, np.inf), "column high, row 1", "a finite price > 0"),
    ("perp", broken("high", 1, 99.0), "column high, row 1", "at least open and close"),
    ("mark", broken("low", 4, 101.0), "column low, row 4", "at most open and close"),
    ("spot", broken("volume", 2, -3.0), "column volume, row 2", "a finite volume >= 0"),
    ("spot", broken("close", 2, "abc"), "column close, row 2", "expected a number"),
    ("funding", broken("rate", 1, 0.4, funding([1e-4] * 3)), "column rate, row 1", "within +-0.05"),
    (
        "funding",
        broken("rate", 1, np.nan, funding([1e-4] * 3)),
        "column rate, row 1",
        "within +-0.05",
    ),
    ("perp", bars([100.0] * 5).iloc[[0, 2, 1, 3]], "column time, row 2", "strictly later"),
    ("perp", bars([100.0] * 5).iloc[[0, 1, 1, 3]], "column time, row 2", "drop duplicates"),
    (
        "perp",
        bars([100.0] * 5).assign(time=lambda t: t["time"].dt.tz_localize(None)),
        "column time has type",
        "utc=True",
    ),
    (
        "perp",
        bars([100.0] * 5).assign(time=lambda t: t["time"].dt.tz_convert("Asia/Tokyo")),
        "Asia/Tokyo",
        "tz_convert",
    ),
    (
        "perp",
        bars([100.0] * 5, start=pd.Timestamp("1970-01-20", tz="UTC")),
        "column time, row 0",
        "expected 2009 .. 2100; correct the row",
    ),
]


@pytest.mark.parametrize(
    ("kind", "table", "finding", "remedy"), BAD, ids=[f"{b[0]}-{b[2][:24]}" for b in BAD]
)
def test_a_bad_table_is_refused_in_one_line_with_file_place_and_remedy(
    kind, table, finding, remedy
):
    with pytest.raises(DataError) as caught:
        check_table(table, kind, "venue_XYZ_file.parquet")
    message = str(caught.value)
    assert message.startswith("venue_XYZ_file.parquet: ")
    assert finding in message
    assert remedy in message
    assert "\n" not in message


def test_a_good_table_comes_back_as_utc_nanoseconds_and_float64():
    table = check_table(bars([100, 101, 102]).assign(trades=[1, 2, 3]), "perp", "x")
    assert str(table["time"].dtype) == "datetime64[ns, UTC]"
    assert (table.dtypes.drop("time") == "float64").all()
    assert "trades" in table.columns


def test_volume_may_be_absent_or_unknown_for_the_schema():
    check_table(bars([100.0] * 3).drop(columns="volume"), "perp", "x")
    check_table(bars([100.0] * 3, volume=[1.0, np.nan, 0.0]), "perp", "x")


@pytest.mark.parametrize(
    "stamps",
    [
        ["2024-01-01T00:00:00Z", "2024-01-01T08:00:00Z"],
        ["2024-01-01 00:00", "2024-01-01 08:00"],  # no offset: UTC
        ["2024-01-01 01:00+01:00", "2024-01-01 09:00+01:00"],
        *([1704067200 * unit, 1704096000 * unit] for unit in (1, 10**3, 10**6, 10**9)),
    ],
)
def test_csv_times_are_iso_or_epochs_told_by_their_size(tmp_path, stamps):
    pd.DataFrame({"time": stamps, "rate": [1e-4, 2e-4]}).to_csv(tmp_path / "f.csv", index=False)
    table = read_table(tmp_path / "f.csv", "funding")
    assert list(table["time"]) == [
        pd.Timestamp("2024-01-01", tz="UTC"),
        pd.Timestamp("2024-01-01 08:00", tz="UTC"),
    ]


def test_csv_times_that_are_no_instants_are_refused(tmp_path):
    for stamps in ([20240101, 20240102], [1704067200, 0], [-1704067200000, 1704096000000]):
        pd.DataFrame({"time": stamps, "rate": [1e-4, 2e-4]}).to_csv(tmp_path / "s.csv", index=False)
        with pytest.raises(DataError, match=r"column time, row \d: .*expected an epoch in s, ms"):
            read_table(tmp_path / "s.csv", "funding")
    pd.DataFrame({"time": ["2024-01-01", "yesterday"], "rate": [1e-4, 2e-4]}).to_csv(
        tmp_path / "n.csv", index=False
    )
    with pytest.raises(DataError, match=r"n\.csv: column time, row 1: 'yesterday'"):
        read_table(tmp_path / "n.csv", "funding")


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read"):
        read_table(tmp_path / "a.parquet", "perp")
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_table(tmp_path / "none.csv", "perp")
    with pytest.raises(DataError, match=r"expected \.parquet or \.csv"):
        read_table(tmp_path / "a.feather", "perp")


def test_parquet_round_trip(tmp_path):
    bars([100.0, 101.0]).to_parquet(tmp_path / "p.parquet")
    assert list(read_table(tmp_path / "p.parquet", "perp")["close"]) == [100.0, 101.0]
