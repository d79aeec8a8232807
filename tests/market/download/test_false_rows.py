"""Rows that cannot be trusted: repeated, shuffled, off the grid, impossible, or told twice with
different numbers.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.market.download.conftest import Desk
from tests.market.download.formats import dumps, zipped
from tests.market.download.tables import NOON, expected, same, series, stored
from tests.market.download.test_false_archives import CSV, NAME, republished
from tests.market.download.test_faults import INTERFACE, PERP, february


def test_repeated_and_shuffled_rows_are_put_right_and_told(desk: Desk) -> None:
    lines = CSV.splitlines(keepends=True)
    shuffled = lines[:1] + lines[300:] + lines[1:300] + lines[200:250]
    republished(desk, f"{NAME}.zip", zipped(f"{NAME}.csv", "".join(shuffled)))
    failures, notes = february(desk)
    assert failures == []
    assert notes == [
        f"{NAME}.zip: rows were out of order",
        f"{NAME}.zip: 50 repeated row(s) dropped",
    ]


def test_a_stray_bar_off_the_grid_is_dropped_and_told(desk: Desk) -> None:
    stray = CSV.replace("1706745600000", "1706745600001", 1)
    republished(desk, f"{NAME}.zip", zipped(f"{NAME}.csv", stray))
    failures, notes = february(desk)
    assert failures == []
    assert notes == [
        f"{NAME}.zip: 1 row(s) with an impossible value dropped, the first at 2024-02-01 00:00"
    ]


def test_impossible_bars_become_gaps_that_other_sources_fill(desk: Desk) -> None:
    broken = CSV.replace(CSV.splitlines()[5].split(",")[2], "1.0", 1)  # a high below open and close
    republished(desk, f"{NAME}.zip", zipped(f"{NAME}.csv", broken))
    failures, notes = february(desk)
    assert failures == []
    assert notes == [
        f"{NAME}.zip: 1 row(s) with an impossible value dropped, the first at 2024-02-01 04:00"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: b"<html>Please log in", "is no JSON but b'<html>Please"),
        (lambda body: body[:-2] + b"\xff]]", "is not UTF-8 text"),
        (lambda body: b'{"code": -4999, "msg": "nope"}', "nope"),
        (lambda body: b"[[1709251200000]]", "hold no possible value"),
        (lambda body: b" " * 2**21 + body, "the answer exceeds 1 MiB; refused"),
        (lambda body: re.sub(rb', "', b', "x', body), "hold no possible value"),
    ],
    ids=["html", "not UTF-8", "error object", "short row", "oversized", "words"],
)
def test_an_answer_of_the_interface_that_cannot_be_trusted_is_refused(
    desk: Desk, change: object, message: str
) -> None:
    rest = Desk(desk.server, desk.store.root, names=("rest",))
    desk.server.fault(INTERFACE, "edit", change=change, times=10_000)
    outcome = rest.update(PERP, "2024-03")
    assert re.search(message, "; ".join(outcome.failures))
    assert not any(part.complete for part in rest.store.parts(PERP).values())
    desk.server.faults.clear()
    outcome = rest.update(PERP, "2024-03")
    assert outcome.failures == []
    found = stored(rest, PERP)
    assert same(found, expected("perp", "BTCUSDT", "2024-03-01", NOON))


def test_pages_shuffled_doubled_and_shorter_than_promised_lose_nothing(desk: Desk) -> None:
    def unkind(body: bytes) -> bytes:
        rows = json.loads(body)[:100]  # the venue has lowered its limit without a word
        return dumps(rows[50:] + rows[:50] + rows[:10])

    rest = Desk(desk.server, desk.store.root, names=("rest",))
    desk.server.fault(INTERFACE, "edit", change=unkind, times=10_000)
    outcome = rest.update(PERP, "2024-02")
    assert outcome.failures == []
    assert same(stored(rest, PERP), expected("perp", "BTCUSDT", "2024-02-01", NOON))


@pytest.mark.parametrize("second", [{}, {"fundingRate": "0.01"}], ids=["agreeing", "contradicting"])
def test_settlements_told_twice_are_one_or_none(desk: Desk, second: dict[str, str]) -> None:
    def twice(body: bytes) -> bytes:
        return dumps(
            [
                r
                for row in json.loads(body)
                for r in (row, row | {"fundingTime": row["fundingTime"] + 3} | second)
            ]
        )

    rest = Desk(desk.server, desk.store.root, names=("rest",))
    desk.server.fault("fundingRate", "edit", change=twice, times=9)
    outcome = rest.update(series("funding"), "2024-03")
    if second:
        assert (
            "two different settlements at 2024-03-01 00:00; the source contradicts itself"
            in outcome.failures[0]
        )
    else:
        assert outcome.failures == []
        assert len(stored(rest, series("funding"))) == 9 * 3 + 2
