"""The command `monitor`: it prints tables, serves a page, and names bad input in one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.core.run_folder import RunError
from experiments.live.mock import MockExchange
from experiments.monitor import Args, main, serve, spots_of
from experiments.monitoring.rows import Carrying, Key
from tests.live.monitored import FIRST, watching, world


def test_once_prints_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = MockExchange(world())
    main(
        Args(
            venue=("binance", "bybit"),
            symbols=("BTCUSDT", "binance:ETHUSDT"),
            out=tmp_path,
            once=True,
            mirror=server.url,
            rate=1e4,
        )
    )
    server.close()
    text = capsys.readouterr().out
    assert [line.split()[:2] for line in text.splitlines() if " binance " in line][:2] == [
        ["BTC", "binance"],
        ["ETH", "binance"],
    ]
    assert "net of costs and cash" in text


def test_a_venue_without_spot_has_none_unless_it_is_named() -> None:
    args = Args(venue=("dydx",), symbols=("BTC-USD",))
    assert spots_of(args) == {Key("dydx", "BTC-USD"): None}
    named = Args(venue=("dydx",), symbols=("BTC-USD",), spot=("BTC-USD=binance:BTCUSDT",))
    assert spots_of(named) == {Key("dydx", "BTC-USD"): ("binance", "BTCUSDT")}


def test_the_page_without_its_extra_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "experiments.monitoring.page", raising=False)
    monkeypatch.setitem(sys.modules, "dash", None)
    with (
        watching(tmp_path, world(), spots=FIRST) as watch,
        pytest.raises(RunError, match=r"dash is not installed; pip install 'fundenv\[monitor\]'"),
    ):
        serve(watch, "127.0.0.1", 0, 1.0)


def test_the_page_is_for_this_machine_alone_unless_asked() -> None:
    assert Args(symbols=("BTCUSDT",)).host == "127.0.0.1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"venue": ("binanc",)}, "no interface; there is one for binance"),
        ({"poll": 0.0}, "--poll, --refresh, --keep, --rate: give numbers above 0"),
        ({"port": 70000}, "--port 70000: give 0 .. 65535"),
        ({"symbols": ("bybit:BTCUSDT",)}, "--symbols name none of binance"),
        ({"webhook": "x"}, "--webhook x: expected an address"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    known: dict[str, Any] = {"symbols": ("BTCUSDT",), "out": tmp_path, "once": True}
    with pytest.raises(RunError, match=re.escape(said)) as refused:
        main(Args(**known | given))
    assert "\n" not in str(refused.value)


def test_carries_that_cannot_be_are_refused() -> None:
    with pytest.raises(RunError, match=r"hold = 0.* 0\.1 \.\. 3650"):
        Carrying(hold=0.0)
