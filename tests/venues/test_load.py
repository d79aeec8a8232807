"""A venue file is data with sources; a broken one says what is wrong with it."""

import datetime as dt
from importlib import resources

import pytest

from fundenv.venues import VenueError, load_venue

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
    # Binance, BTCUSDT on 2024-10-24: amounts 0, 50, 950, 11,450, 131,450, ... (market rules, section 2.3)
    amounts = [bracket.amount for bracket in load_venue("binance").brackets("BTCUSDT", dt.date(2024, 10, 24))]
    assert amounts == pytest.approx(
        [0, 50, 950, 11_450, 131_450, 481_450, 2_981_450, 14_481_450, 26_481_450, 41_481_450, 121_481_450, 421_481_450], rel=1e-12
    )


def test_brackets_change_on_their_date():
    venue = load_venue("binance")
    assert venue.brackets("ETHUSDT", dt.date(2025, 8, 18))[1].floor == 50e3
    assert venue.brackets("ETHUSDT", dt.date(2025, 8, 19))[1].floor == 300e3
    assert venue.brackets("ETHUSDT", dt.date(2010, 1, 1)) == venue.brackets("ETHUSDT", dt.date(2024, 1, 1))


def test_symbols_without_an_entry_use_the_default_and_say_so():
    venue = load_venue("binance")
    assert venue.value("funding", "cap", "BTCUSDT") == 0.003
    assert venue.value("funding", "cap", "NEWUSDT") == 0.02
    assert "tiers" in venue.unsourced("NEWUSDT")
    assert "tiers" not in venue.unsourced("BTCUSDT")


def test_own_file_is_loaded_by_its_path(write):
    assert load_venue(write("value = 0.0005, source", "value = 0.0004, source")).value("fees", "perp_taker") == 0.0004


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('contract = "linear"', 'contract = "quanto"', "contract = 'quanto': expected one of linear"),
        ("perp_taker = { value = 0.0005,", "perp_taker = { value = 5,", "fees.perp_taker.value = 5: expected a number from -0.01 to 0.05"),
        ('perp_taker = { value = 0.0005, source = "Binance', 'perp_taker = { value = 0.0005, sauce = "Binance', "fees.perp_taker = "),
        (
            "[[0, 125, 0.004], [50e3, 100, 0.005]",
            "[[0, 125, 0.004], [50e3, 100, 0.003]",
            "expected a higher floor, a lower leverage and a higher rate",
        ),
        ("valid_from = 2019-09-08", 'valid_from = "once"', "tiers.BTCUSDT[0].valid_from = 'once': expected a date"),
        ("[funding.cap]\ndefault =", "[funding.cap]\nfallback =", "funding.cap = "),
        ("[fees]", "[fees", "not a TOML file"),
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
