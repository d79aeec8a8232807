"""Columns of the user's own files on the command line: `--extra NAME=SCALE`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from experiments.core.added_columns import scales
from experiments.core.market_args import MarketArgs
from experiments.core.run_folder import RunError
from fundenv.market import synthetic_frames, write_frames


def test_a_column_of_an_own_file_becomes_an_observation_of_both_spans(tmp_path: Path) -> None:
    frames = synthetic_frames("btc", years=0.4, seed=0)
    write_frames(frames, tmp_path, venue="binance")
    times = pd.date_range("2019-01-01", "2021-01-01", freq="6h", tz="UTC")
    own = pd.DataFrame({"time": times, "mood": 50.0})
    own.to_csv(tmp_path / f"binance_{frames.symbol}_mood.csv", index=False)
    markets = MarketArgs(data=tmp_path, extra=("mood=100",)).markets()
    for part in markets.values():
        assert (part.table[-1].name, part.table[-1].scale) == ("mood", 100.0)
        assert (part.features[..., -1] == 0.5).all()


@pytest.mark.parametrize("item", ["mood", "mood=", "=3", "mood=0", "mood=-1", "mood=much"])
def test_a_scale_that_is_none_is_refused(item: str) -> None:
    with pytest.raises(RunError, match=f"--extra {item}: expected NAME=SCALE"):
        scales((item,))


def test_the_embedded_market_has_no_own_columns() -> None:
    with pytest.raises(RunError, match="--extra mood=1 needs --data"):
        MarketArgs(extra=("mood=1",)).markets()
