"""One coin on several venues: files of each on one clock, what stands in for what, and the pass
that asks whether the venues fit together.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundenv.batch.cpu import Batch
from fundenv.market import (
    DataError,
    Market,
    SymbolFrames,
    bootstrap_market,
    build_market,
    joint,
    layout,
    load_market,
    splice,
    write_frames,
)
from fundenv.venues import VenueError
from tests.market.coins import coin, later, scaled
from tests.market.tables import funding

HOME, AWAY = "binance:AAAUSDT", "hyperliquid:AAA@binance:AAAUSDT"
LENT = {"hyperliquid:AAA": "binance:AAAUSDT"}


def hourly(frames: SymbolFrames) -> pd.DataFrame:
    """A rate of 0.2 bp every hour."""
    hours = len(frames.perp)
    return funding(np.full(hours, 2e-5), hours=1.0, start=frames.perp["time"].iloc[0])


def folder_of(path: Path, **away: pd.DataFrame) -> Path:
    """Binance whole; of Hyperliquid hourly funding, and the tables of `away`."""
    made = coin()
    write_frames(made, path, venue="binance")
    for kind, table in ({"funding": hourly(made)} | away).items():
        step = "" if kind == "funding" else "_1h"
        table.to_parquet(path / f"hyperliquid_AAA_{kind}{step}.parquet")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("venues"))


@pytest.fixture(scope="module")
def market(folder: Path) -> Market:
    return load_market(folder, [HOME, AWAY], stand_in=LENT)


def test_each_venue_settles_on_its_own_clock(market: Market) -> None:
    both = joint(market, [HOME, AWAY])
    due = both.bars[:, :, layout.SETTLE_PRICE] > 0.0
    hours = np.diff(both.close_ns[due[:, 0]]) / 3.6e12, np.diff(both.close_ns[due[:, 1]]) / 3.6e12
    assert (hours[0] == 8.0).all()
    assert (hours[1] == 1.0).all()
    assert (both.bars[due[:, 1], 1, layout.SETTLE_RATE] == 2e-5).all()
    assert both.venue == "binance+hyperliquid"
    last = [f.name for f in both.table].index("funding_last")
    # 0.2 bp an hour is 1.6 bp per 8 h
    assert both.features[50:, 1, last] * both.table[last].scale == pytest.approx(1.6, rel=1e-5)


def test_what_stands_in_for_prices_is_said(folder: Path, market: Market) -> None:
    assert len(market.cautions) == 1
    assert market.cautions[0].startswith(f"{AWAY}: binance_AAAUSDT_perp_1h.parquet")
    assert "capacity is that of the lender" in market.cautions[0]
    both = joint(market, [HOME, AWAY])
    assert np.array_equal(both.bars[:, 0, :8], both.bars[:, 1, :8])
    with pytest.raises(DataError, match=r"has no table hyperliquid_AAA_perp; .*stand_in"):
        load_market(folder, [AWAY])
    with pytest.raises(DataError, match=r"has no table hyperliquid_AAA_spot; .*@VENUE:SYMBOL"):
        load_market(folder, ["hyperliquid:AAA"], stand_in=LENT)
    with pytest.raises(DataError, match="'hyperliquid:AAB', which is no perpetual of the symbols"):
        load_market(folder, [AWAY], stand_in=LENT | {"hyperliquid:AAB": HOME})
    with pytest.raises(VenueError, match="unknown venue 'hyperliquit'; did you mean hyperliquid"):
        load_market(folder, ["hyperliquit:AAA"])


def test_own_prices_come_before_a_stand_in(tmp_path: Path) -> None:
    perp = scaled(coin().perp, 1.001)
    folder = folder_of(tmp_path, perp=perp)
    with pytest.raises(DataError, match=r"perp files of its own .*drop its stand-in"):
        load_market(folder, [HOME, AWAY], stand_in=LENT)
    both = joint(load_market(folder, [HOME, AWAY]), [HOME, AWAY])
    assert not both.cautions
    ratio = both.bars[:, 1, layout.PERP_CLOSE] / both.bars[:, 0, layout.PERP_CLOSE]
    assert ratio == pytest.approx(1.001, rel=1e-12)
    assert np.array_equal(both.bars[:, 0, layout.SPOT_CLOSE], both.bars[:, 1, layout.SPOT_CLOSE])


def test_venues_of_another_clock_or_unit_are_refused(tmp_path: Path) -> None:
    """Both files of the second venue are wrong alike, so that each venue fits itself."""
    made, names = coin(), [HOME, "hyperliquid:AAA"]
    (tmp_path / "late").mkdir()
    (tmp_path / "unit").mkdir()
    late = folder_of(tmp_path / "late", perp=later(made.perp, 3), spot=later(made.spot, 3))
    with pytest.raises(DataError, match=r"come 3 h late.*\(lag\)"):
        load_market(late, names)
    thousand = {kind: scaled(getattr(made, kind), 1e3) for kind in ("perp", "spot")}
    unit = folder_of(tmp_path / "unit", **thousand)
    with pytest.raises(
        DataError, match=r"the hyperliquid:AAA price is 1000 times .*\(factor\).*1,000 coins"
    ):
        load_market(unit, names)
    assert load_market(unit, names, accept=["factor"]).cautions


def test_a_hole_of_one_venue_is_no_price_then_no_listing_or_cuts_the_span(tmp_path: Path) -> None:
    whole = hourly(coin())
    rows = np.arange(len(whole))
    folder = folder_of(tmp_path, funding=whole[(rows < 1500) | (rows >= 1500 + 9 * 24)])
    market = load_market(folder, [HOME, AWAY], stand_in=LENT)
    union, common = joint(market, [HOME, AWAY]), joint(market, [HOME, AWAY], common=True)
    state = union.bars[:, 1, layout.HALTED]
    gone = np.flatnonzero(state == layout.UNLISTED)
    assert (state[gone[0] - 24 : gone[0]] == layout.NO_PRICE).all()
    assert (np.diff(gone) == 1).all()
    assert len(gone) == 9 * 24 - 7 - 24
    assert not union.bars[gone, 1, layout.SETTLE_PRICE].any()
    assert any("delisted at" in note and note.startswith(AWAY) for note in union.notes)
    assert common.n_paths == 2
    assert (common.bars[..., layout.HALTED] < layout.UNLISTED).all()


def test_no_row_depends_on_later_ones() -> None:
    made = coin()
    away = replace(made, symbol=AWAY, funding=hourly(made), lender=made.place("perp"))
    home = replace(made, symbol=HOME)
    instant = made.perp["time"].iloc[2000]
    whole = joint(build_market([home, away]), [HOME, AWAY])
    part = joint(build_market([f.known_at(instant) for f in (home, away)]), [HOME, AWAY])
    rows = len(part.bars)
    assert 1000 < rows < len(whole.bars)
    assert np.array_equal(part.bars, whole.bars[:rows])
    assert np.array_equal(part.features, whole.features[:rows])


def test_the_rules_of_each_leg_reach_the_account(market: Market) -> None:
    batch = Batch(1, market=joint(market, [HOME, AWAY]), venue="binance")
    fee, spot = (batch.world.rules[batch.world.symbols[0], k] for k in (0, 1))
    assert fee == pytest.approx([0.0005, 0.00045])
    assert spot == pytest.approx([0.001, 0.001])


def test_shocks_and_resampling_keep_the_venues(market: Market) -> None:
    both = joint(market, [HOME, AWAY])
    hit = splice(both, "2020-03-12", at=1000)
    assert (hit.symbols, hit.venue) == (both.symbols, both.venue)
    made = bootstrap_market(both, years=0.2, paths=1)
    assert made.symbols == ((f"SYNTH-{HOME}-0", f"SYNTH-{AWAY}-0"),)
    rules = [Batch(1, market=m).world.rules for m in (both, made)]
    assert np.array_equal(rules[0][:2], rules[1][:2])
