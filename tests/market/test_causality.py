"""Nothing in a row may depend on what came after it."""

import numpy as np
import pandas as pd
import pytest

from fundenv.market import SymbolFrames, build_market, read_frames
from fundenv.market.files.frames import to_ns
from fundenv.market.plausibility import KINDS
from tests.market.tables import real_data, synthetic

# Rolling means are sums kept up to date from row to row: the same rows give the same bits, so the
# comparison is exact.


def joined(market):
    return {
        int(t): (b, f)
        for t, b, f in zip(market.close_ns, market.bars, market.features, strict=True)
    }


def assert_past_is_equal(whole, part, instant):
    past = whole.close_ns <= to_ns(instant)
    assert past.sum() > 24
    assert np.array_equal(part.close_ns, whole.close_ns[past][: len(part.close_ns)])
    # a bar in which a leg is halted at the very end may not be there yet
    assert len(part.close_ns) >= past.sum() - 8
    n = len(part.close_ns)
    assert np.array_equal(part.bars, whole.bars[:n])
    assert np.array_equal(part.features, whole.features[:n])


def corrupted(frames: SymbolFrames, instant) -> SymbolFrames:
    """Everything that was not known at `instant` replaced by nonsense."""
    ns, rng = to_ns(instant), np.random.default_rng(1)

    def bad_bars(table, step):
        if table is None:
            return None
        table, late = table.copy(), (table["time"].astype("int64") + step > ns).to_numpy()
        for column in ("open", "high", "low", "close"):
            table.loc[late, column] = 1e5 * (1 + rng.random())
        table.loc[late, "high"], table.loc[late, "low"] = 9e5, 1.0
        if "volume" in table.columns:
            table.loc[late, "volume"] = rng.random(late.sum()) * 1e9 + 1
        return table

    paid = frames.funding.copy()
    paid.loc[(paid["time"].astype("int64") > ns), "rate"] = -0.04
    hour = pd.Timedelta("1h").value
    return SymbolFrames(
        symbol=frames.symbol,
        funding=paid,
        perp=bad_bars(frames.perp, hour),
        spot=bad_bars(frames.spot, hour),
        mark=bad_bars(frames.mark, hour),
        extras={
            name: t.assign(**{name: t[name].where(t["time"].astype("int64") <= ns, -1.0)})
            for name, t in frames.extras.items()
        },
    )


CUTS = [
    "2020-02-20 08:00",
    "2020-02-20 09:00",
    "2020-03-01 15:00",
    "2020-03-15 00:00",
    "2020-04-01 07:00",
]


@pytest.mark.parametrize(
    ("cut", "bar"),
    [(cut, "1h") for cut in CUTS] + [(CUTS[0], "4h"), (CUTS[3], "4h"), (CUTS[3], "8h")],
)
def test_features_and_bars_of_a_cut_history_are_those_of_the_whole(cut, bar):
    whole, part = (build_market([f], bar=bar) for f in (synthetic(), synthetic().known_at(cut)))
    assert_past_is_equal(whole, part, cut)


@pytest.mark.parametrize("cut", CUTS[1:])
def test_nonsense_after_an_instant_changes_nothing_up_to_it(cut):
    whole, part = (
        build_market([synthetic()]),
        build_market([corrupted(synthetic(), cut)], accept=tuple(KINDS)),
    )
    past = whole.close_ns <= to_ns(cut)
    assert np.array_equal(part.bars[past], whole.bars[past])
    assert np.array_equal(part.features[past], whole.features[past])
    assert not np.array_equal(part.features[~past], whole.features[~past])


def test_a_rate_settled_at_the_close_is_not_in_the_row():
    cut = pd.Timestamp("2020-03-01 16:00", tz="UTC")
    frames = synthetic()
    paid = frames.funding.copy()
    paid.loc[paid["time"] >= cut, "rate"] = (
        0.04  # the settlement at the cut itself is changed as well
    )
    other = SymbolFrames(
        symbol=frames.symbol, funding=paid, perp=frames.perp, spot=frames.spot, mark=frames.mark
    )
    one, two = build_market([frames]), build_market([other], accept=("rate_scale",))
    row = int(np.searchsorted(one.close_ns, to_ns(cut)))
    assert np.array_equal(one.features[: row + 1], two.features[: row + 1])
    assert not np.array_equal(one.features[row + 1], two.features[row + 1])


def test_the_market_mean_of_several_symbols_is_causal():
    symbols = [synthetic(seed=s, symbol=f"SYNTH-{s}") for s in (1, 2)]
    cut = CUTS[2]
    whole, part = build_market(symbols), build_market([f.known_at(cut) for f in symbols])
    for path in (0, 1):
        (a, _), (c, d) = whole.paths[path], part.paths[path]
        assert np.array_equal(part.features[c:d], whole.features[a : a + d - c])


def test_start_and_end_only_choose_rows():
    whole, part = (
        build_market([synthetic()]),
        build_market([synthetic()], start="2020-03-01", end="2020-04-01"),
    )
    rows = (whole.close_ns >= to_ns("2020-03-01")) & (whole.close_ns < to_ns("2020-04-01"))
    assert np.array_equal(part.features, whole.features[rows])
    assert np.array_equal(part.bars, whole.bars[rows])


@pytest.mark.parametrize(
    "cut",
    [
        "2020-03-12 23:00",
        "2021-02-11 03:00",
        "2021-02-11 04:00",
        "2021-05-19 13:00",
        "2024-10-28 21:00",
    ],
)
def test_real_btc_is_causal_by_truncation_and_corruption(cut):
    frames = read_frames(real_data(), "BTCUSDT", extra=["open_interest"])
    extra = {"open_interest": 1e4}
    whole, part = (
        build_market([frames], extra=extra),
        build_market([frames.known_at(cut)], extra=extra),
    )
    assert_past_is_equal(whole, part, cut)
    wrong = build_market([corrupted(frames, cut)], extra=extra, accept=tuple(KINDS))
    past = whole.close_ns <= to_ns(cut)
    assert np.array_equal(wrong.bars[past], whole.bars[past])
    assert np.array_equal(wrong.features[past], whole.features[past])
