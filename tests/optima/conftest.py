"""The markets of the tests of one capital."""

from __future__ import annotations

import pytest

from fundenv.market import Market
from tests.optima.one_capital import coming_and_going, two_coins


@pytest.fixture(scope="module")
def market() -> Market:
    return two_coins()


@pytest.fixture(scope="module")
def coming() -> Market:
    return coming_and_going()
