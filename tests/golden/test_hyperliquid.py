"""Hyperliquid publishes the premium behind every hourly rate: the formula must give each recorded
rate back.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fundenv.formulas.funding import hyperliquid_rate

FOLDER = os.environ.get("FUNDENV_DATA")


@pytest.mark.skipif(FOLDER is None, reason="FUNDENV_DATA does not name a folder with real data")
@pytest.mark.parametrize("coin", ["BTC", "ETH"])
def test_recorded_premium_gives_the_recorded_rate(coin):
    table = pd.read_parquet(Path(FOLDER) / f"hyperliquid_{coin}_funding.parquet").dropna(
        subset=["premium"]
    )
    assert len(table) > 8000
    error = np.abs(hyperliquid_rate(table["premium"]) - table["rate"])
    assert error.max() < 1e-9
    # and to no other interest
    assert (
        np.abs(hyperliquid_rate(table["premium"], interest=0.0001 + 1e-7) - table["rate"]).max()
        > 1e-9
    )
