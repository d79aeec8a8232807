"""The command line: from a venue's server to an environment that steps, and one line for each
mistake.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import fundenv  # noqa: F401 - registers the environment
from experiments import download
from fundenv.market import load_market
from fundenv.market.download import DownloadError, Mirrors
from tests.market.download.answers.binance import Binance
from tests.market.download.answers.binance_archives import BinanceArchives
from tests.market.download.server import Server
from tests.market.download.tables import NOON

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    BinanceArchives(server)
    Binance(server)
    yield server
    server.close()


def mirrors(server: Server) -> Mirrors:
    return Mirrors(binance=server.url, binance_listing=server.url + "/listing", rest=server.url)


def test_from_the_servers_of_a_venue_to_an_environment_that_steps(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = download.Args(
        symbols=("BTCUSDT", "ETHUSDT"),
        start="2024-01",
        out=tmp_path / "raw",
        mirror=mirrors(server),
    )
    download.main(args)
    said = capsys.readouterr().out
    assert "24 months written" in said
    market = load_market(args.out, ["BTCUSDT", "ETHUSDT"])
    assert market.symbols == (("BTCUSDT",), ("ETHUSDT",))
    assert int(market.close_ns[market.paths[0][1] - 1]) == NOON * 1_000_000
    env = gymnasium.make(
        "fundenv/FundingHedge-v0", market=str(args.out), symbols=["BTCUSDT"], episode="7D"
    )
    observation, info = env.reset(seed=1)
    for _ in range(5):
        observation, reward, _, _, info = env.step(env.action_space.sample())
        assert np.isfinite(observation).all()
        assert np.isfinite(reward)
    assert info["equity"] > 0
    server.log.clear()
    download.main(args)
    assert server.asked("/data/|klines|fundingRate") == []
    assert "0 months written (0 rows), 24 were whole already" in capsys.readouterr().out


def test_what_is_missing_at_the_end_fails_the_command(server: Server, tmp_path: Path) -> None:
    args = download.Args(
        symbols=("BTCUSDT", "BTCUSDC"),
        kinds=("perp",),
        start="2024-02",
        out=tmp_path,
        mirror=mirrors(server),
    )
    with pytest.raises(
        DownloadError,
        match=(
            r"1 thing\(s\) still missing, the first: binance/BTCUSDC/perp_1h: no data .* near:"
            r" BTCUSDT"
        ),
    ):
        download.main(args)
    assert (tmp_path / "binance/BTCUSDT/perp_1h/2024-03.parquet").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"kinds": ("perp", "trades")}, r"--kinds trades: expected some of funding, perp"),
        (
            {"spot": ("binance:BTCUSDT", "binance:ETHUSDT")},
            r"--spot names 2 pair\(s\) for 1 symbol\(s\)",
        ),
        ({"spot": ("BTCUSDT",)}, r"--spot BTCUSDT: expected VENUE:PAIR"),
        (
            {"renamed": ("POLUSDT=MATICUSDT",)},
            r"--renamed POLUSDT=MATICUSDT: POLUSDT is none of --symbols",
        ),
        ({"venue": "binnance"}, r"--venue binnance: did you mean binance\?"),
        ({"venue": "bitmex"}, r"--venue bitmex: expected one of binance, bybit"),
        ({"spot": ("binnance:BTCUSDT",)}, r"--spot binnance: did you mean binance\?"),
        ({"start": "soon"}, r"start 'soon': expected a month such as 2020-01"),
        ({"start": "2031-01"}, r"start '2031-01' lies after 2024-03"),
        ({"end": "never"}, r"--end never: expected a month such as 2024-06"),
        ({"sources": ("ftp",)}, r"sources ftp: expected some of archives, rest"),
        ({"symbols": ("../x",)}, r"name '../x': expected letters, digits, dots and dashes"),
        ({"step": "7h"}, r"step '7h' of perp: expected minutes or hours that divide a day"),
    ],
)
def test_a_command_that_cannot_be_is_answered_in_one_line(
    server: Server, tmp_path: Path, more: dict[str, object], message: str
) -> None:
    with pytest.raises(DownloadError, match=message) as caught:
        download.main(
            download.Args(
                **{
                    "symbols": ("BTCUSDT",),
                    "kinds": ("perp",),
                    "out": tmp_path,
                    "mirror": mirrors(server),
                }
                | more
            )
        )
    assert "\n" not in str(caught.value)


def test_ctrl_c_keeps_what_was_fetched(server: Server, tmp_path: Path) -> None:
    server.fault(r"2023-1\d\.zip$", "slow", seconds=1.5, times=2)
    url = server.url
    where = [
        "--out",
        str(tmp_path),
        "--mirror.binance",
        url,
        "--mirror.binance-listing",
        url + "/listing",
        "--mirror.rest",
        url,
    ]
    command = [
        sys.executable,
        "-m",
        "experiments.download",
        "--symbols",
        "BTCUSDT",
        "--kinds",
        "perp",
        "--start",
        "2023-10",
        "--jobs",
        "1",
    ]
    with subprocess.Popen(
        [*command, *where], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while len(list(tmp_path.rglob("20*.parquet"))) < 3 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped; what was fetched is kept, the same command goes on from here" in said
    assert 3 <= len(list(tmp_path.rglob("20*.parquet"))) < 6
