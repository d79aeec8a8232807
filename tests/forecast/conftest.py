"""Two coins with made-up funding."""

from __future__ import annotations

import pytest

from fundenv.forecast import Panel
from tests.forecast.made import history, rates


@pytest.fixture(scope="module")
def panel() -> Panel:
    return Panel(
        tuple(history(name, rates(1100, i), i) for i, name in enumerate(("AUSDT", "BUSDT")))
    )
