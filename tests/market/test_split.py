import numpy as np
import pandas as pd
import pytest

from fundenv.market import SplitError, between, build_market, joint, layout, select, split, stack
from fundenv.market.files.frames import to_ns
from tests.market.tables import bars, frames, funding, synthetic

A, B, C = "SYNTH-A", "SYNTH-B", "SYNTH-C"


@pytest.fixture(scope="module")
def market():
    """Three symbols; C starts 20 days after the others."""
    c = synthetic(seed=3, symbol=C)
    late = pd.Timestamp("2020-01-21", tz="UTC")
    c = frames(
        *(t[t["time"] >= late] for t in (c.perp, c.spot, c.funding)),
        C,
        mark=c.mark[c.mark["time"] >= late],
    )
    return build_market([synthetic(seed=1, symbol=A), synthetic(seed=2, symbol=B), c])


def test_between_keeps_closes_in_the_half_open_span(market):
    part = between(market, "2020-03-01", "2020-03-02")
    assert part.symbols == ((A,), (B,), (C,))
    assert part.paths.tolist() == [[0, 24], [24, 48], [48, 72]]
    assert part.times(0)[0] == pd.Timestamp("2020-03-01", tz="UTC")
    assert part.times(0)[-1] == pd.Timestamp("2020-03-01 23:00", tz="UTC")
    rows = np.flatnonzero(
        (market.close_ns >= to_ns("2020-03-01")) & (market.close_ns < to_ns("2020-03-02"))
    )
    assert np.array_equal(part.features, market.features[rows])
    assert np.array_equal(part.bars, market.bars[rows])


def test_between_drops_paths_outside_and_says_so(market):
    part = between(market, None, "2020-02-10")
    assert part.symbols == ((A,), (B,))
    assert any(C in note and "dropped" in note for note in part.notes)
    with pytest.raises(SplitError, match=r"no bar closes in.*the market has"):
        between(market, "2031-01-01", None)


def test_split_leaves_the_embargo_and_keeps_the_later_span_whole(market):
    parts = split(
        market,
        {"test": ("2020-04-01", "2020-05-01"), "train": ("2020-02-15", "2020-04-01")},
        embargo="7D",
    )
    assert list(parts) == ["test", "train"]
    assert parts["test"].times(0)[0] == pd.Timestamp("2020-04-01", tz="UTC")
    assert parts["train"].times(0)[-1] == pd.Timestamp("2020-03-24 23:00", tz="UTC")
    gap = parts["test"].close_ns.min() - parts["train"].close_ns.max()
    assert gap > pd.Timedelta("7D").value
    assert any("leave 7D before 'test'" in note for note in parts["train"].notes)


def test_split_does_not_move_spans_that_lie_far_enough_apart(market):
    parts = split(
        market,
        {"a": ("2020-02-15", "2020-03-01"), "b": ("2020-04-01", "2020-04-10")},
        embargo="14D",
    )
    assert parts["a"].times(0)[-1] == pd.Timestamp("2020-02-29 23:00", tz="UTC")


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ({"a": ("2020-02-15", "2020-03-15"), "b": ("2020-03-01", "2020-04-01")}, "overlap"),
        ({"a": ("2020-03-15", "2020-03-01")}, "expected start before end"),
        (
            {"a": ("2020-03-25", "2020-04-01"), "b": ("2020-04-01", "2020-04-10")},
            "shorter than the embargo",
        ),
    ],
)
def test_impossible_splits_are_refused(market, spans, message):
    with pytest.raises(SplitError, match=message):
        split(market, spans)


def test_select_takes_symbols_in_the_order_asked(market):
    part = select(market, [C, A])
    assert part.symbols == ((C,), (A,))
    first, last = market.paths[0]
    assert np.array_equal(part.features[part.paths[1, 0] :], market.features[first:last])
    with pytest.raises(SplitError, match=f"'NONE' is not in the market; it has {A}, {B}, {C}"):
        select(market, ["NONE"])


def test_joint_puts_symbols_side_by_side_on_common_closes(market):
    both = joint(market, [C, A], common=True)
    assert both.n_assets == 2
    assert both.symbols == ((C, A),)
    assert both.paths.tolist() == [[0, len(both.bars)]]
    for asset, path in ((0, 2), (1, 0)):
        first, last = market.paths[path]
        rows = first + np.searchsorted(market.close_ns[first:last], both.close_ns)
        assert np.array_equal(market.close_ns[rows], both.close_ns)
        assert np.array_equal(both.bars[:, asset], market.bars[rows, 0])
        assert np.array_equal(both.features[:, asset], market.features[rows, 0])
    assert both.close_ns[0] == market.close_ns[market.paths[2, 0]]  # C starts last


def test_joint_refuses_what_cannot_be_joined(market):
    with pytest.raises(SplitError, match="not in the market"):
        joint(market, [A, "NONE"])
    with pytest.raises(SplitError, match="each once"):
        joint(market, [A, A])
    with pytest.raises(SplitError, match="have 2 assets already"):
        joint(joint(market, [A, B]), [A])
    apart = stack(
        [
            select(between(market, None, "2020-03-01"), [A]),
            select(between(market, "2020-03-01", None), [B]),
        ]
    )
    with pytest.raises(SplitError, match="no span in common"):
        joint(apart, [A, B], common=True)


def test_a_hole_in_funding_cuts_the_path_and_the_joint_clock():
    n = 24 * 60
    paid = funding([1e-4] * (n // 8))
    holed = frames(bars([100.0] * n), bars([100.0] * n), paid.drop(index=range(130, 136)), "HOLED")
    whole = frames(bars([100.0] * n), bars([100.0] * n), paid, "WHOLE")
    market = build_market([holed, whole])
    assert market.symbols == (("HOLED",), ("HOLED",), ("WHOLE",))
    first, second = market.times(0), market.times(1)
    # the last bar before a settlement is missed
    assert first[-1] == pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(hours=130 * 8)
    assert second[0] == pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(hours=136 * 8 + 1)
    both = joint(market, ["HOLED", "WHOLE"], common=True)
    assert both.n_paths == 2
    assert np.diff(both.paths).ravel().tolist() == [len(first), len(second)]
    assert (np.diff(both.close_ns[slice(*both.paths[0])]) == pd.Timedelta("1h").value).all()
    assert (both.bars[:, :, layout.HALTED] == 0).all()


def test_stack_puts_markets_of_one_kind_together(market):
    one, two = select(market, [A]), select(market, [B])
    both = stack([one, two])
    assert both.symbols == ((A,), (B,))
    assert np.array_equal(both.features, np.concatenate([one.features, two.features]))
    assert both.times(1).equals(two.times(0))
    with pytest.raises(SplitError, match="differ"):
        stack([one, joint(market, [A, B])])
