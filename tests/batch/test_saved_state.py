"""A state or a market that does not fit a batch is refused, and rules outlast a fresh market."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fundenv  # noqa: F401  (registers)
from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from tests.batch.small_batch import COMMON, GOOD, MARKET, N
from tests.markets import PLAIN_VENUE, wild_market


def started(**settings: Any) -> Batch:
    batch = Batch(N, **(COMMON | settings))
    batch.reset(3)
    batch.step(GOOD)
    return batch


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"market": wild_market(6, paths=3, length=120)}, "of a batch with market = "),
        ({"market": wild_market(5, paths=1, length=40)}, "of a batch with market = "),
        ({"margin_mode": "cross"}, "with margin_mode = 'cross', this one has 'isolated'"),
        ({"decision_interval": "8h"}, "with decision_interval = '8h', this one has '4h'"),
        ({"autoreset": "same_step"}, "with autoreset = 2, this one has 0"),
    ],
)
def test_a_state_of_another_market_or_setting_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    batch, before = started(), started().state()
    with pytest.raises(ConfigError, match=message) as caught:
        batch.restore(started(**settings).state())
    assert "\n" not in str(caught.value)
    assert np.array_equal(batch.store.episode, before["episode"])
    assert np.array_equal(batch.block, before["block"])


def test_a_state_of_a_refreshed_market_is_refused_by_the_market_alone() -> None:
    moved = started()
    moved.refresh(wild_market(6, paths=3, length=120))
    moved.reset(4)
    with pytest.raises(ConfigError, match="of a batch with market = "):
        started().restore(moved.state())


DAMAGE = {
    "a row behind the data": (t.ROW, 10**6),
    "a negative row": (t.ROW, -1),
    "another path's row": (t.ROW, 0),
    "a path that does not exist": (t.PATH, 3),
    "a longer path": (t.LAST_ROW, 10**6),
    "rules that do not exist": (t.BOOK, 99),
    "a negative decision": (t.DECISION, -1),
    "a flag of 2": (t.MUST_RESET, 2),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_state_is_refused(what: str) -> None:
    column, value = DAMAGE[what]
    batch = started()
    batch.reset(3, paths=1)
    state = batch.state()
    state["episode"][2, column] = value
    with pytest.raises(ConfigError, match=r"the state has environment 2 at row .* it is damaged"):
        batch.restore(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": np.zeros(3)}, r"block = an array of shape \(3,\) .*, this batch float64"),
        ({"obs": None}, "obs = None, this batch float32"),
        ({"params": np.full((1, t.N_PARAMS), np.nan)}, "params that are not finite"),
        ({"seeded": 1}, "seeded = 1; expected a bool"),
        ({"of": None}, "the state has no 'of'"),
    ],
)
def test_arrays_of_a_state_are_those_of_the_batch(change: dict[str, Any], message: str) -> None:
    batch = started()
    with pytest.raises(ConfigError, match=message):
        batch.restore(batch.state() | change)


def test_what_is_no_state_is_refused() -> None:
    for state in (None, 3, {}, [1, 2]):
        with pytest.raises(ConfigError, match=r"expected what Batch\.state\(\)"):
            started().restore(state)  # type: ignore[arg-type]


def test_a_state_saved_before_states_named_their_market_must_lie_on_this_one() -> None:
    state = started().state()
    del state["of"]
    batch = started()
    batch.restore(state)
    batch.step(GOOD)
    short = started(market=wild_market(5, paths=1, length=40))
    with pytest.raises(ConfigError, match="from where this market has no step"):
        short.restore(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bars": MARKET.bars.astype(np.float32)}, "market.bars is .*float32; expected float64"),
        ({"features": MARKET.features.astype(float)}, "market.features is .*expected float32"),
        ({"bars": np.asfortranarray(MARKET.bars)}, "expected float64 in C order"),
        ({"paths": MARKET.paths + 1}, "leave the .* bars"),
        ({"paths": MARKET.paths[:, ::-1].copy()}, "first row < end row"),
        ({"paths": MARKET.paths - 5}, "leave the .* bars"),
        ({"close_ns": MARKET.close_ns[:-1].copy()}, "market.close_ns is .*does not fit"),
        (
            {
                "bars": np.where(
                    np.arange(len(MARKET.bars))[:, None, None] == 7, np.nan, MARKET.bars
                )
            },
            "market.bars of row 7 are not finite",
        ),
    ],
)
def test_a_market_with_other_arrays_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Batch(N, **(COMMON | {"market": replace(MARKET, **change)}))
    batch = started()
    with pytest.raises(ConfigError, match=message):
        batch.refresh(replace(MARKET, **change))
    batch.step(GOOD)


def test_rules_that_an_episode_began_with_stay_through_a_refresh(tmp_path: Path) -> None:
    """`BOOK` counts eras x paths, and a refresh doubles the paths: the second set of rules would be
    read as the first set of another path.
    """
    text = Path(PLAIN_VENUE).read_text()
    old = re.search(r"^fee = \{.*$", text, re.M)
    assert old is not None
    one = old[0].removeprefix("fee = ")
    days = [
        one.replace("{ ", f"{{ valid_from = {day}, ", 1) for day in ("2020-01-01", "2024-01-03")
    ]
    days[1] = re.sub("value = [0-9.]+", "value = 0.02", days[1])
    venue = tmp_path / "two_eras.toml"
    venue.write_text(text.replace(old[0], f"fee = [{', '.join(days)}]"))
    batch = Batch(N, **(COMMON | {"venue": str(venue)}))
    batch.reset(0, paths=[0, 1, 2, 1], starts=[10, 60, 100, 4])
    batch.step(GOOD)

    def rules() -> Any:
        at = batch.world.symbols[batch.store.episode[:, t.BOOK]][:, 0]
        return batch.world.rules[at, t.AssetRules._fields.index("liquidation_fee")].tolist()

    before = rules()
    assert before == [0.005, 0.02, 0.02, 0.02]
    batch.refresh(wild_market(6, paths=3, length=120))
    assert rules() == before
