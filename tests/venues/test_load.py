"""A venue file is data with sources; a broken one says what is wrong with it."""

import datetime as dt
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
        "ETHUSDT", dt.date(2024, 1, 1)
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
            "tiers.BTCUSDT[1].valid_from = 'once': expected a date",
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


def test_unsourced_values_are_reported_once_and_only_where_used(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT)
    venue = load_venue(path)
    with pytest.warns(
        UnsourcedValue, match="binance: not sourced for BTCUSDT: borrow.quote_annual; set"
    ):
        venue.warn_unsourced("BTCUSDT", ["borrow.quote_annual", "fees"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        venue.warn_unsourced("BTCUSDT", ["borrow.quote_annual", "fees"])
