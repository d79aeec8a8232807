import numpy as np
import pandas as pd
import pytest

from fundenv.market import DataError, build_market, load_market, synthetic_frames, write_frames
from tests.market.tables import bars, frames, funding, synthetic

ONE, TWO = "SYNTH-1", "SYNTH-2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two symbols with hourly bars, one with perps of 4 h, one without spot, and open interest for
    the first.
    """
    path = tmp_path_factory.mktemp("data")
    for number, symbol in enumerate((ONE, TWO)):
        write_frames(synthetic(seed=number, symbol=symbol), path, venue="binance")
    slow = synthetic(seed=5, symbol="SYNTH-SLOW")
    slow4 = synthetic(seed=5, bar_hours=4, symbol="SYNTH-SLOW")
    write_frames(frames(slow4.perp, slow.spot, slow.funding, "SYNTH-SLOW"), path, venue="binance")
    synthetic(seed=6).funding.to_parquet(path / "binance_SYNTH-HALF_funding.parquet")
    oi = pd.DataFrame(
        {
            "time": synthetic().perp["time"],
            "open_interest": np.arange(len(synthetic().perp), dtype=float),
        }
    )
    oi.to_parquet(path / f"other_{ONE}_oi_1h.parquet")
    return path


def test_written_frames_come_back_as_they_were(folder):
    loaded = load_market(folder, [ONE])
    built = build_market([synthetic(seed=0, symbol=ONE)])
    assert loaded.hash == built.hash
    assert sorted(p.name for p in folder.glob(f"binance_{ONE}_*")) == [
        f"binance_{ONE}_{kind}.parquet" for kind in ("funding", "mark_1h", "perp_1h", "spot_1h")
    ]
    assert not list(folder.glob(".*"))


def test_all_symbols_that_have_the_shortest_bars_are_taken_and_the_others_named(folder):
    market = load_market(folder)
    assert market.symbols == ((ONE,), (TWO,))
    assert any("SYNTH-SLOW" in note and "longer than 1 h" in note for note in market.notes)
    assert any("SYNTH-HALF" in note and "missing" in note for note in market.notes)


def test_a_longer_bar_takes_the_slow_symbol_in(folder):
    market = load_market(folder, bar="4h")
    assert market.symbols == ((ONE,), (TWO,), ("SYNTH-SLOW",))
    assert market.bar_hours == 4.0
    assert load_market(folder, ["SYNTH-SLOW"]).bar_hours == 4.0
    with pytest.raises(
        DataError, match=r"perp_4h.parquet: bars of 4h cannot make bars of 1h; pass bar='4h'"
    ):
        load_market(folder, ["SYNTH-SLOW"], bar="1h")


def test_unknown_symbols_folders_and_bars_are_refused_with_what_there_is(folder, tmp_path):
    with pytest.raises(
        DataError, match=f"'DOGE' has no complete set of files; available: {ONE}, {TWO}, SYNTH-SLOW"
    ):
        load_market(folder, ["DOGE"])
    with pytest.raises(DataError, match="no such folder"):
        load_market(tmp_path / "nowhere", ["DOGE"])
    with pytest.raises(DataError, match="no symbol with files binance_"):
        load_market(tmp_path)
    with pytest.raises(DataError, match="bar 'often' is not a length of time"):
        load_market(folder, [ONE], bar="often")


def test_an_extra_column_is_found_by_name_and_scaled(folder):
    market = load_market(folder, [ONE], extra={"open_interest": 1e4})
    assert market.table[-1].name == "open_interest"
    start = synthetic().perp["time"].iloc[0].as_unit("ns").value
    hours = (
        market.close_ns - start
    ) / 3.6e12  # the value stamped at the instant of the close is known
    # the table ends before the last close
    assert market.features[:-1, 0, -1] == pytest.approx(hours[:-1] / 1e4)
    with pytest.raises(DataError, match=f"{TWO}: extra column 'open_interest' found in none of"):
        load_market(folder, [ONE, TWO], extra={"open_interest": 1e4})


def test_an_extra_column_of_a_bar_file_is_known_when_the_bar_closes(tmp_path):
    made = synthetic(symbol=ONE)
    write_frames(made, tmp_path, venue="binance")
    perp = made.perp.assign(trades=np.arange(len(made.perp), dtype=float))
    perp.to_parquet(tmp_path / f"binance_{ONE}_perp_1h.parquet")
    market = load_market(tmp_path, [ONE], extra={"trades": 1e4})
    row = round((market.close_ns[0] - made.perp["time"].iloc[0].as_unit("ns").value) / 3.6e12) - 1
    assert market.features[0, 0, -1] == pytest.approx(row / 1e4)


def test_csv_files_do_as_well(tmp_path):
    made = synthetic(symbol=ONE)
    for kind, table in (
        ("funding", made.funding),
        ("perp_1h", made.perp),
        ("spot_1h", made.spot),
        ("mark_1h", made.mark),
    ):
        table.assign(time=table["time"].astype("int64") // 10**6).to_csv(
            tmp_path / f"binance_{ONE}_{kind}.csv", index=False
        )
    assert np.allclose(load_market(tmp_path).features, build_market([made]).features, atol=1e-5)


def test_a_coarse_mark_file_beside_hourly_bars_is_passed_over(tmp_path):
    made = synthetic(symbol=ONE)
    write_frames(frames(made.perp, made.spot, made.funding, ONE), tmp_path, venue="binance")
    coarse = synthetic(symbol=ONE, bar_hours=8).mark
    coarse.to_parquet(tmp_path / f"binance_{ONE}_mark_8h.parquet")
    market = load_market(tmp_path)
    assert any("mark_8h.parquet: mark bars of 8h do not nest" in note for note in market.notes)
    assert load_market(tmp_path, bar="8h").bar_hours == 8.0


def test_an_own_venue_is_taken_by_the_path_of_its_file(tmp_path):
    from importlib import resources

    text = (
        resources.files("fundenv.venues")
        .joinpath("binance.toml")
        .read_text()
        .replace('name = "binance"', 'name = "mine"')
    )
    (tmp_path / "mine.toml").write_text(text)
    write_frames(synthetic(symbol=ONE), tmp_path, venue="mine")
    market = load_market(tmp_path, venue=tmp_path / "mine.toml")
    assert market.venue == "mine"


def test_too_little_data_is_refused():
    short = synthetic_frames(years=20 / 365)
    with pytest.raises(DataError, match="no row with complete features; give more than 31 days"):
        build_market([short])


def test_one_symbol_twice_is_refused():
    n = 24 * 40
    one = frames(bars([101.0] * n), bars([100.0] * n), funding([1e-4] * (n // 8)))
    with pytest.raises(DataError, match="each once"):
        build_market([one, one])
