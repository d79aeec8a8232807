"""A venue file is data with sources; a broken one says what is wrong with it."""

import datetime as dt
import re
import warnings
from importlib import resources

import pytest

from fundenv.venues import UnsourcedValue, VenueError, load_venue, venue_names
from fundenv.venues.schema import CHOICES, PER_SYMBOL, SCALARS

TEXT = resources.files("fundenv.venues").joinpath("binance.toml").read_text()


@pytest.fixture
def write(tmp_path):
    def written(old, new):
        assert old in TEXT
        path = tmp_path / "mine.toml"
        path.write_text(TEXT.replace(old, new, 1))
        return path

    return written


def test_brackets_follow_the_published_amounts():
    # Binance, BTCUSDT on 2024-10-24: amounts 0, 50, 950, 11,450, 131,450, ... (market rules,
    # section 2.3)
    amounts = [
        bracket.amount
        for bracket in load_venue("binance").brackets("BTCUSDT", dt.date(2024, 10, 24))
    ]
    assert amounts == pytest.approx(
        [
            0,
            50,
            950,
            11_450,
            131_450,
            481_450,
            2_981_450,
            14_481_450,
            26_481_450,
            41_481_450,
            121_481_450,
            421_481_450,
        ],
        rel=1e-12,
    )


def test_brackets_change_on_their_date():
    venue = load_venue("binance")
    assert venue.brackets("ETHUSDT", dt.date(2025, 8, 18))[1].floor == 50e3
    assert venue.brackets("ETHUSDT", dt.date(2025, 8, 19))[1].floor == 300e3
    assert venue.brackets("ETHUSDT", dt.date(2010, 1, 1)) == venue.brackets(
        "ETHUSDT", dt.date(2021, 1, 1)
    )


def test_symbols_without_an_entry_use_the_default_and_say_so():
    venue = load_venue("binance")
    assert venue.value("funding", "cap", "BTCUSDT") == 0.003
    assert venue.value("funding", "cap", "NEWUSDT") == 0.02
    assert "tiers" in venue.unsourced("NEWUSDT")
    assert "tiers" not in venue.unsourced("BTCUSDT")


def test_own_file_is_loaded_by_its_path(write):
    assert (
        load_venue(write("value = 0.0005, source", "value = 0.0004, source")).value(
            "fees", "perp_taker"
        )
        == 0.0004
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'contract = "linear"',
            'contract = "quanto"',
            "contract = 'quanto' is not one of linear, inverse",
        ),
        (
            "perp_taker = { value = 0.0005,",
            "perp_taker = { value = 5,",
            "fees.perp_taker.value = 5 is outside -0.01 .. 0.05; set it within",
        ),
        (
            'perp_taker = { value = 0.0005, source = "Binance',
            'perp_taker = { value = 0.0005, sauce = "Binance',
            "fees.perp_taker = ",
        ),
        (
            "[[0, 125, 0.004], [50e3, 100, 0.005]",
            "[[0, 125, 0.004], [50e3, 100, 0.003]",
            "expected a higher floor, no higher leverage and a higher rate",
        ),
        (
            "valid_from = 2025-08-19",
            'valid_from = "once"',
            "tiers.BTCUSDT[12].valid_from = 'once': expected a date",
        ),
        ("valid_from = 2025-08-19", "valid_from = 2019-09-08", "each later than the one before"),
        (
            "valid_from = 2025-09-18, value = 1",
            "value = 1",
            "funding.scaled[1].valid_from = None: expected a date",
        ),
        (
            'procedure = { value = "tier"',
            'procedure = { value = "slow"',
            "liquidation.procedure.value = 'slow' is not one of whole, tier",
        ),
        ("[collateral]\ndefault =", "[collateral]\nother =", "collateral = "),
        ("[funding.cap]\ndefault =", "[funding.cap]\nfallback =", "funding.cap = "),
        ("[fees]", "[fees", "not a TOML file"),
        ('name = "binance"', "", "name is missing"),
        ("[fees_high]", "[fees_hi]", "unknown section 'fees_hi'; did you mean fees_high"),
        ("perp_taker =", "perp_takr =", "unknown rule fees.perp_takr; did you mean perp_taker"),
        ("perp_taker = { value = 0.0005,", "perp_taker = { value = true,", "expected number in"),
    ],
)
def test_a_broken_file_names_file_key_value_and_expectation(write, old, new, message):
    path = write(old, new)
    with pytest.raises(VenueError) as caught:
        load_venue(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_unknown_names_and_paths_list_what_exists():
    with pytest.raises(VenueError, match="the package has binance"):
        load_venue("bynance")
    with pytest.raises(VenueError, match="does not exist"):
        load_venue("nowhere/x.toml")


def test_every_exchange_of_the_list_ships():
    assert set(venue_names()) == set(
        "binance binance_coinm bitmex bybit bybit_inverse deribit dydx hyperliquid kraken"
        " kraken_inverse okx".split()
    )


@pytest.mark.parametrize("name", venue_names())
def test_every_shipped_file_is_whole(name):
    venue = load_venue(name)
    for key in (*SCALARS, *CHOICES, *PER_SYMBOL):
        (venue.choice if key in CHOICES else venue.value)(*key)
    brackets = venue.brackets("any")
    # at the highest leverage a new position is not liquidated at once
    assert brackets[0].rate <= 1 / brackets[0].max_leverage
    for below, above in zip(brackets, brackets[1:], strict=False):
        continuous = above.floor * below.rate - below.amount == pytest.approx(
            above.floor * above.rate - above.amount, rel=1e-12
        )
        assert continuous or name == "bitmex"  # whose risk limits apply to the whole value


def test_dated_values_change_on_their_day():
    okx = load_venue("okx")
    assert okx.choice("funding", "rule", dt.date(2025, 4, 23)) == "okx_until_2025"
    assert (
        okx.choice("funding", "rule", dt.date(2025, 4, 24))
        == okx.choice("funding", "rule")
        == "okx"
    )
    assert [
        okx.value("funding", "cap", "BTCUSDT", dt.date(year, 6, 1)) for year in (2010, 2019, 2024)
    ] == [0.003, 0.003, 0.00375]
    assert okx.changes("BTCUSDT") == [dt.date(2020, 1, 1), dt.date(2025, 4, 24)]


def test_a_file_that_was_edited_is_read_anew(write):
    fee = re.search(r"perp_taker = \{ ?value = ([\d.e-]+)", TEXT)
    path = write(fee[0], fee[0])
    before = load_venue(path).value("fees", "perp_taker")
    assert before == float(fee[1]) == load_venue(path).value("fees", "perp_taker")
    write(fee[0], fee[0].replace(fee[1], "0.0123"))
    assert load_venue(path).value("fees", "perp_taker") == 0.0123


def test_unsourced_values_are_reported_once_and_only_where_used(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    venue = load_venue(path)
    with pytest.warns(
        UnsourcedValue, match="binance: not sourced for BTCUSDT: borrow.quote_annual; give"
    ):
        venue.warn_unsourced("BTCUSDT", ["borrow.quote_annual", "fees"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        venue.warn_unsourced("BTCUSDT", ["borrow.quote_annual", "fees"])


# floor, leverage, maintenance rate as published (see the sources in the files)
@pytest.mark.parametrize(
    ("name", "symbol", "day", "published"),
    [
        ("binance", "BTCUSDT", "2021-03-18", [(1e6, 20, 0.025), (10e6, 10, 0.05), (300e6, 1, 0.5)]),
        ("binance", "BTCUSDT", "2021-06-22", [(1e6, 20, 0.025), (5e6, 10, 0.05), (20e6, 5, 0.1)]),
        ("binance", "BTCUSDT", "2022-06-01", [(1e6, 20, 0.025), (10e6, 10, 0.05)]),
        ("binance", "BTCUSDT", "2024-10-24", [(600e3, 75, 0.0065), (12e6, 25, 0.02)]),
        ("binance", "SOLUSDT", "2022-11-25", [(0, 12, 0.02), (150e3, 11, 0.025)]),
        ("binance", "DOGEUSDT", "2024-10-24", [(0, 75, 0.005), (10e3, 50, 0.007)]),
        ("binance_coinm", "BTCUSD_PERP", "2020-12-01",
         [(0, 125, 0.004), (10, 100, 0.005), (20, 50, 0.01), (30, 20, 0.025), (50, 10, 0.05),
          (100, 5, 0.1), (200, 4, 0.125), (400, 3, 0.15), (1000, 2, 0.25)]),
        ("binance_coinm", "DOGEUSD_PERP", "2021-05-05",
         [(0, 25, 0.012), (500e3, 20, 0.025), (2.5e6, 10, 0.05), (100e6, 1, 0.5)]),
    ],
)  # fmt: skip
def test_brackets_are_those_of_their_day(name, symbol, day, published):
    found = [
        (b.floor, b.max_leverage, b.rate)
        for b in load_venue(name).brackets(symbol, dt.date.fromisoformat(day))
    ]
    assert set(published) <= set(found)


def test_the_maintenance_amount_of_the_help_page_of_2020():
    """5,000,000 x (5 % - 2.5 %) + 16,300 = 141,300."""
    brackets = load_venue("binance").brackets("BTCUSDT", dt.date(2020, 6, 1))
    assert brackets[4].amount == pytest.approx(141_300)


def test_a_funding_cap_goes_with_the_brackets_of_its_day():
    venue = load_venue("binance")
    for symbol in ("BTCUSDT", "ETHUSDT", "DOGEUSDT"):
        for day in (dt.date(2024, 10, 24), dt.date(2026, 9, 26)):
            first = venue.brackets(symbol, day)[0]
            assert venue.value("funding", "cap", symbol, day) == pytest.approx(0.75 * first.rate)


def test_a_table_in_coins_serves_its_own_coin_alone():
    """A floor of 5 coins is 250,000 USD of bitcoin and 40 cents of dogecoin."""
    for name in venue_names():
        venue = load_venue(name)
        if venue.contract == "inverse":
            assert len(venue.brackets("ANYUSD")) == 1, name
            assert len(venue.brackets("BTC-PERPETUAL" if name == "deribit" else "XBTUSD")) > 2
            assert "tiers" in venue.unsourced("ANYUSD")


@pytest.mark.parametrize("name", venue_names())
def test_the_high_fee_tier_is_one_tier(name):
    document = load_venue(name).document["fees_high"]
    tiers = {word for leaf in document.values() for word in re.findall(r"VIP ?\d+", leaf["source"])}
    assert len(tiers) <= 1


def test_the_tables_in_force_over_a_span_are_named():
    venue = load_venue("binance")
    found = venue.brackets_in_force("BTCUSDT", dt.date(2021, 1, 1), dt.date(2021, 12, 31))
    assert [(str(day), known) for day, _, known in found] == [
        ("2019-09-08", False),
        ("2021-03-18", True),
        ("2021-06-22", True),
    ]
    assert "tiers" in venue.unsourced("BTCUSDT", dt.date(2021, 1, 1))
    assert "tiers" not in venue.unsourced("BTCUSDT", dt.date(2021, 4, 1))
