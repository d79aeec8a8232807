"""The page of the venues is what the files say."""

from importlib import resources

from fundenv.venues import load_venue, venue_names
from fundenv.venues.describe import page, rows


def test_the_page_is_current():
    shipped = resources.files("fundenv.venues").joinpath("README.md").read_text(encoding="utf-8")
    assert shipped == page(), (
        "write it anew: python -m fundenv.venues.describe > fundenv/venues/README.md"
    )


def test_every_venue_and_every_unsourced_mark_is_on_it():
    text = page()
    assert all(f"(`{name}`, " in text for name in venue_names())
    assert "| borrow.quote_annual |  | 0.073 | not sourced: " in text
    assert "| funding.rule | 2025-04-24 | okx | " in text


def test_rows_hold_the_values_in_force():
    found = {row.name: row for row in rows(load_venue("binance"), "BTCUSDT")}
    assert found["fees.perp_taker"].default == "0.0005"
    assert found["funding.rule"].default == "binance"
    assert found["funding.cap"].default == "0.003"
    assert found["funding.cap"].range == "0 .. 1"
    assert found["funding.cap"].unit == "of notional"
    assert all(row.text.endswith(".") for row in found.values())
