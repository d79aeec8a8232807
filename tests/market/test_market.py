import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from fundenv.market import Market, build_market, layout, select
from tests.market.tables import bars, frames, funding, synthetic


@pytest.fixture(scope="module")
def market():
    return build_market([synthetic()])


def test_a_market_cannot_be_changed(market):
    for array in (market.bars, market.features, market.paths, market.close_ns):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        market.venue = "other"


def test_the_hash_follows_the_numbers_and_names_and_nothing_else(market):
    again = build_market([synthetic()])
    assert again.hash == market.hash
    assert market.with_notes("another note").hash == market.hash
    changed = {
        "bars": market.bars.copy(),
        "features": market.features.copy(),
        "close_ns": market.close_ns.copy(),
    }
    for name, array in changed.items():
        array[5] += 1
        assert dataclasses.replace(market, **{name: array}).hash != market.hash
    assert dataclasses.replace(market, symbols=(("OTHER",),)).hash != market.hash
    assert select(market, market.symbols[0]).hash == market.hash


def test_every_number_is_finite_and_prices_are_positive(market):
    assert np.isfinite(market.features).all()
    assert np.isfinite(market.bars).all()
    assert (market.bars[..., : layout.MARK_CLOSE + 1] > 0).all()
    assert market.features.dtype == np.float32
    low, high = (
        np.array([getattr(f, side) for f in market.table], np.float32) for side in ("low", "high")
    )
    assert ((market.features >= low) & (market.features <= high)).all()


def test_bars_of_a_path_follow_each_other(market):
    assert (np.diff(market.close_ns) == 3_600_000_000_000).all()
    assert market.bar_hours == 1.0
    assert "SYNTH-BTC" in repr(market)
    assert "features complete from" in repr(market)


def test_unknown_volumes_are_visible():
    n = 24 * 40
    bare = frames(
        bars([101.0] * n).drop(columns="volume"), bars([100.0] * n), funding([1e-4] * (n // 8))
    )
    market = build_market([bare], volume_required=False)
    assert not market.has_volume
    assert build_market([synthetic()]).has_volume


def test_shapes_that_do_not_fit_are_refused(market):
    with pytest.raises(ValueError, match="do not fit 16 columns"):
        dataclasses.replace(market, bars=np.zeros((len(market.bars), 1, 15)))
    with pytest.raises(ValueError, match="do not name 1 asset"):
        dataclasses.replace(market, symbols=(("A", "B"),))
    assert isinstance(market, Market)


def test_importing_the_room_stays_light():
    code = (
        "import sys, fundenv.market; print([m for m in ('numba', 'torch', 'scipy', 'matplotlib') if"
        " m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=sys.path[0]
    )
    assert out.stdout.strip() == "[]"
