"""What the keeper finds in a folder: the odd rows that were put there, and no others."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import data
from fundenv.formulas.premium import average_premium
from fundenv.formulas.rates import binance_rate
from fundenv.market import DataError
from fundenv.market.download import DownloadError, Mirrors, Series, Store, findings, status
from tests.market.download.conftest import Desk
from tests.market.download.formats import ms
from tests.market.download.tables import NOON, expected, same, stored
from tests.market.download.tables import series as series_of
from tests.market.download.world import HOUR

START, DAYS = ms("2024-01-01"), 30
HOURS = np.arange(DAYS * 24)


def keep(store: Store, kind: str, table: pd.DataFrame) -> Series:
    series = series_of(kind)
    with store.lock(series):
        store.write(
            series, "2024-01", table, covered=dt.datetime(2024, 2, 1, tzinfo=dt.UTC), complete=True
        )
    return series


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """30 days: premia and the rates that Binance's rule makes of them, perpetual and spot at 1 bp;
    then one thing wrong of each sort.
    """
    store = Store(tmp_path / "raw")
    premium = 8e-4 * np.sin(HOURS / 9.0)
    bars = pd.DataFrame(
        {"time": START + HOURS * HOUR} | dict.fromkeys(("open", "high", "low", "close"), premium)
    )
    keep(store, "premium", bars)
    rates = [
        float(binance_rate(average_premium(premium[i : i + 8]), cap=0.003))
        for i in range(0, len(HOURS), 8)
    ]
    rates[30] += (
        10e-4  # a rate that its premium does not explain: the settlement of 2024-01-11 08:00
    )
    times = [START + (i + 1) * 8 * HOUR for i in range(len(rates))]
    funding = pd.DataFrame({"time": times, "rate": rates})
    keep(
        store,
        "funding",
        pd.concat([funding, funding.iloc[[50]].assign(time=times[50] + 30_000)]).sort_values(
            "time", ignore_index=True
        ),
    )
    price = 30_000.0 + 10 * np.sin(HOURS / 5.0)
    spot = pd.DataFrame(
        {
            "time": START + HOURS * HOUR,
            "open": price,
            "high": price + 50,
            "low": price - 50,
            "close": price,
            "volume": 1.0,
        }
    )
    perp = spot.assign(**{name: spot[name] * 1.0001 for name in ("open", "high", "low", "close")})
    perp.loc[100, ["high", "close"]] = perp.loc[100, "close"] * 1.05
    keep(store, "spot", spot.drop(index=range(200, 205)))
    keep(store, "perp", perp)
    return store


def test_each_odd_thing_is_found_and_nothing_else(store: Store) -> None:
    found = {finding.check: finding for finding in findings(store, "binance", "BTCUSDT")}
    odd = {check: [int(t) for t in finding.times[finding.odd]] for check, finding in found.items()}
    assert odd == {
        "perp / spot - 1": [START + 100 * HOUR],
        "spacing of settlements": [START + 51 * 8 * HOUR + 30_000],
        "settled rate less its rule": [START + 31 * 8 * HOUR],
    }
    explained = found["settled rate less its rule"]
    assert explained.values[explained.odd] == pytest.approx([10.0])
    # bars with four equal prices leave nothing unexplained
    assert np.abs(explained.values[~explained.odd]).max() < 1e-6
    assert (
        found["perp / spot - 1"]
        .line()
        .startswith(
            "BTCUSDT: perp / spot - 1: 1 of 715 odd, worst 0.05011 of the price at 2024-01-05 04:00"
        )
    )


def test_gaps_and_age(store: Store) -> None:
    state = status(store, series_of("spot"), START + DAYS * 24 * HOUR + 5 * HOUR)
    assert (state.rows, state.lacking, state.age_hours, state.unfinished, state.damage) == (
        715,
        5,
        5.0,
        (),
        (),
    )
    assert [str(gap) for gap in state.gaps] == ["2024-01-09 08:00 .. 2024-01-09 13:00"]


def test_verify_draws_and_names_what_is_odd(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"1 finding\(s\) above would stop load_market"):
        data.main(data.Args(command="verify", data=store.root))
    said = capsys.readouterr().out
    assert "refused  binance/BTCUSDT/funding: column time, row 51: second settlement" in said
    assert "gap  binance/BTCUSDT/spot_1h: 2024-01-09 08:00 .. 2024-01-09 13:00" in said
    assert "odd   binance BTCUSDT: settled rate less its rule: 1 of" in said
    assert "2024-01-11 08:00  10 bp" in said
    assert (store.root / "plots" / "binance_BTCUSDT.png").stat().st_size > 20_000


def test_a_damaged_file_ends_verify_with_the_remedy_and_update_mends_it(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    perp = series_of("perp")
    desk.update(perp, "2024-02")
    path = desk.store.file(perp, "2024-02")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(
        DownloadError,
        match=(
            r"1 damaged file\(s\); python -m experiments.data update --data .* fetches them again"
        ),
    ):
        data.main(data.Args(command="verify", data=desk.store.root))
    url = desk.server.url
    desk.server.now_ms += HOUR
    mirrors = Mirrors(binance=url, binance_listing=url + "/listing", rest=url)
    data.main(data.Args(command="update", data=desk.store.root, mirror=mirrors))
    assert "2 months written" in capsys.readouterr().out
    assert same(stored(desk, perp), expected("perp", "BTCUSDT", "2024-02-01", NOON + HOUR))
    data.main(data.Args(command="verify", data=desk.store.root))


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        DownloadError, match=r"no downloaded series; fetch some with python -m experiments.download"
    ):
        data.main(data.Args(command="status", data=tmp_path))
