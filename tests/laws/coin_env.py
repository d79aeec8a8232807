"""An environment of inverse contracts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.laws.play import make_env

COIN = str(Path(__file__).with_name("coin.toml"))
WALLETS = pytest.mark.parametrize("margin_mode", ["isolated", "cross"])
SHORT, LONG = (1.0, 1.0, 1.0), (-1.0, 1.0, 1.0)


def coin_env(market: Any, **settings: Any) -> Any:
    return make_env(market, **({"venue": COIN} | settings))
