"""Market data, immutable: checked tables on one grid of bars, with causal features; from files,
exchanges or a generator.
"""

from fundenv.market.build import build_market
from fundenv.market.failure import FAILURES, Failure, fail_venue
from fundenv.market.files.frames import SymbolFrames, write_frames
from fundenv.market.files.load import load_market, read_frames
from fundenv.market.files.read import read_table
from fundenv.market.files.schema import DataError, check_table
from fundenv.market.join import joint, listed
from fundenv.market.market import Feature, Market
from fundenv.market.own_feature import add_feature
from fundenv.market.split import (
    SplitError,
    between,
    narrowed,
    path_range,
    select,
    split,
    stack,
)
from fundenv.market.synthetic.bootstrap import bootstrap_market
from fundenv.market.synthetic.build import synthetic_frames, synthetic_market
from fundenv.market.synthetic.portfolio import synthetic_portfolio
from fundenv.market.synthetic.second_venue import synthetic_venues
from fundenv.market.synthetic.splice import splice
from fundenv.market.table import FEATURES, feature_table

__all__ = [
    "FAILURES",
    "FEATURES",
    "DataError",
    "Failure",
    "Feature",
    "Market",
    "SplitError",
    "SymbolFrames",
    "add_feature",
    "between",
    "bootstrap_market",
    "build_market",
    "check_table",
    "fail_venue",
    "feature_table",
    "joint",
    "listed",
    "load_market",
    "narrowed",
    "path_range",
    "read_frames",
    "read_table",
    "select",
    "splice",
    "split",
    "stack",
    "synthetic_frames",
    "synthetic_market",
    "synthetic_portfolio",
    "synthetic_venues",
    "write_frames",
]
