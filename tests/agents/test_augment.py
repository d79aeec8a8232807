"""The quieter training market keeps the level of the basis and everything that an agent sees."""

from __future__ import annotations

import numpy as np

from agents._augment import with_smooth_basis
from fundenv.market import synthetic_market
from fundenv.market.layout import MARK_CLOSE, MARK_HIGH, MARK_LOW, MARK_OPEN, PERP_CLOSE, PERP_OPEN, SPOT_CLOSE


def test_the_basis_is_averaged_and_its_level_kept() -> None:
    market = synthetic_market("btc", years=0.6, paths=2, seed=8)
    quiet = with_smooth_basis(market, 24)
    np.testing.assert_array_equal(quiet.features, market.features)
    np.testing.assert_array_equal(quiet.bars[..., SPOT_CLOSE], market.bars[..., SPOT_CLOSE])
    for first, last in market.paths:
        noisy, calm = (m.bars[first:last, 0, MARK_CLOSE] / m.bars[first:last, 0, SPOT_CLOSE] for m in (market, quiet))
        assert abs(calm.mean() - noisy.mean()) < 0.1 * noisy.std()
        assert np.diff(calm).std() < 0.2 * np.diff(noisy).std()
        weights = np.r_[(1 - 2 / 25) ** 100, 2 / 25 * (1 - 2 / 25) ** np.arange(99, -1, -1)]
        assert np.isclose(calm[100], (weights * noisy[:101]).sum(), atol=1e-12)
        part = quiet.bars[first:last, 0]
        assert (part[:, MARK_HIGH] >= part[:, [MARK_CLOSE]].max(axis=1) - 1e-9).all()
        assert (part[:, MARK_LOW] <= part[:, MARK_CLOSE] + 1e-9).all()
        for opened, closed in ((PERP_OPEN, PERP_CLOSE), (MARK_OPEN, MARK_CLOSE)):  # what happens over a night is as it was
            gaps = (m.bars[first + 1 : last, 0, opened] / m.bars[first : last - 1, 0, closed] for m in (market, quiet))
            np.testing.assert_allclose(*gaps)
