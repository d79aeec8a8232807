"""Whatever stands in place of an argument of the public entries is refused in one line."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from fundenv.config import EnvConfig

RUBBISH = [
    3, -1, 2.5, b"x", [1], {"a": 1}, {"episode": "2D"}, object(), True, float("nan"), np.zeros(2),
    len,
]  # fmt: skip
ENTRIES = {
    "batch": (Batch, "market symbols autoreset threads per_env config"),
    "vector": (
        lambda n, **given: gym.make_vec("fundenv:fundenv/FundingHedge-v0", n, **given),
        "market symbols autoreset_mode info threads per_env config",
    ),
    "portfolio": (
        lambda n, **given: gym.make_vec("fundenv:fundenv/FundingPortfolio-v0", n, **given),
        "market symbols",
    ),
}


@pytest.mark.parametrize(
    ("entry", "name"),
    [(entry, name) for entry, (_, names) in ENTRIES.items() for name in names.split()],
)
def test_rubbish_is_refused_in_one_line_or_taken(entry: str, name: str) -> None:
    lines = [line for rubbish in RUBBISH if (line := _refusal(entry, name, rubbish)) is not None]
    assert len(lines) >= 9, lines
    assert all("\n" not in line and len(line) < 700 for line in lines)


def _refusal(entry: str, name: str, value: Any) -> str | None:
    given: dict[str, Any] = {name: value}
    try:
        ENTRIES[entry][0](2, **given)
    except ValueError as error:
        return str(error)
    return None


def test_settings_in_a_dictionary_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"config = \{'episode': '2D'\} is no EnvConfig; give"):
        Batch(2, config={"episode": "2D"})  # type: ignore[arg-type]
    assert Batch(2, config=EnvConfig(episode="2D")).config.episode == "2D"


def test_one_symbol_by_its_name_is_a_list_of_one() -> None:
    held = Batch(1)
    name = held.market.symbols[0][0]
    assert Batch(1, symbols=name).market.symbols == held.market.symbols
