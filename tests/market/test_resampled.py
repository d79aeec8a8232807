"""Histories made out of others: resampled in blocks, with a named shock laid over them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fundenv.batch.cpu import Batch
from fundenv.market import (
    SplitError,
    between,
    bootstrap_market,
    joint,
    layout,
    path_range,
    splice,
    stack,
    synthetic_market,
)
from fundenv.market.synthetic.ratios import TapeError
from fundenv.market.synthetic.shocks import SHOCKS
from fundenv.market.synthetic.statistics import facts, pair_facts

SOURCE = synthetic_market(years=1.5, seed=4)
PAIR = synthetic_market(("btc", "eth"), years=1, seed=4)


def settled(market, asset=0):
    return np.flatnonzero(market.bars[:, asset, layout.SETTLE_PRICE] > 0.0)


# --- block bootstrap ------------------------------------------------------------------------------


def test_every_bar_is_one_of_the_source_whole_and_blocks_are_long():
    """A bar is known by its spot return; the rest of the bar must be the source's, and so must the
    bar after it, but at the seams.
    """

    def ratios(market):
        before = market.bars[:-1, 0, layout.SPOT_CLOSE]
        bars = market.bars[1:, 0]
        columns = (
            layout.SPOT_CLOSE,
            layout.PERP_OPEN,
            layout.PERP_CLOSE,
            layout.MARK_HIGH,
            layout.MARK_LOW,
        )
        money = bars[:, [layout.SPOT_VOLUME]] * before[:, None]
        return np.column_stack(
            [*(bars[:, c] / before for c in columns), bars[:, layout.SETTLE_RATE], money]
        )

    source, made = ratios(SOURCE), ratios(bootstrap_market(SOURCE, years=0.5, seed=1, block=21))
    where = {f"{row[0]:.10g}": k for k, row in enumerate(source)}
    index = np.array([where[f"{row[0]:.10g}"] for row in made])
    assert made == pytest.approx(source[index], rel=1e-9)
    seams = (np.diff(index) != 1).sum()
    assert len(made) / 8 / (seams + 1) == pytest.approx(21, rel=0.45)  # settlements a block


def test_settlements_stay_on_their_clock_and_hours_keep_their_place():
    made = bootstrap_market(SOURCE, years=0.5, seed=2)
    assert set(pd.to_datetime(made.close_ns[settled(made)] - 3_600_000_000_000).hour) == {0, 8, 16}
    assert made.times(0)[0] == pd.Timestamp("2020-01-01", tz="UTC")

    def by_hour(market):
        move = np.abs(np.diff(np.log(market.bars[:, 0, layout.SPOT_CLOSE])))
        return pd.Series(move).groupby(pd.to_datetime(market.close_ns[1:]).hour).mean()

    assert by_hour(bootstrap_market(SOURCE, years=3, seed=2)).corr(by_hour(SOURCE)) > 0.9


def test_the_facts_of_the_source_survive():
    made = pd.DataFrame(
        [facts(bootstrap_market(SOURCE, years=3, paths=1, seed=seed)) for seed in range(4)]
    ).mean()
    real = facts(SOURCE)
    for name, tolerance in (
        ("funding_mean", 0.15),
        ("funding_sd", 0.2),
        ("volatility", 0.06),
        ("abs_return_lag1", 0.06),
        ("funding_lag1", 0.12),
    ):
        assert made[name] == pytest.approx(real[name], abs=tolerance)


def test_assets_are_drawn_together():
    made = bootstrap_market(PAIR, years=1, seed=3)
    assert made.symbols == (("SYNTH-SYNTH-BTC-0-0", "SYNTH-SYNTH-ETH-0-0"),)
    assert pair_facts(made)["return_correlation"] == pytest.approx(
        pair_facts(PAIR)["return_correlation"], abs=0.04
    )


def test_paths_depend_on_seed_and_number_alone():
    whole = bootstrap_market(SOURCE, years=0.2, paths=3, seed=5)
    parts = [bootstrap_market(SOURCE, years=0.2, seed=5, first_path=number) for number in range(3)]
    assert np.array_equal(stack(parts).bars, whole.bars)
    assert not np.array_equal(parts[0].bars, parts[1].bars)
    assert not np.array_equal(bootstrap_market(SOURCE, years=0.2, seed=6).bars, parts[0].bars)


def test_a_resampled_history_can_be_traded_under_the_rules_of_its_contract():
    named = replace(SOURCE, symbols=(("BTCUSDT",),))
    made = bootstrap_market(named, years=0.3)
    assert made.symbols == (("SYNTH-BTCUSDT-0",),)
    real, drawn = (
        Batch(1, market=named, venue_date="2024-10-24"),
        Batch(1, market=made, venue_date="2024-10-24"),
    )
    assert np.array_equal(real.world.tiers, drawn.world.tiers)
    assert np.array_equal(real.world.rules, drawn.world.rules)
    drawn.reset(0)
    drawn.step(np.ones((1, 3)))
    assert np.isfinite(drawn.obs).all()


def test_what_cannot_be_resampled_is_refused():
    with pytest.raises(TapeError, match="select one or join them"):
        bootstrap_market(synthetic_market(years=0.2, paths=2))
    with pytest.raises(TapeError, match="off the settlement clock"):
        bootstrap_market(SOURCE, start="2020-01-01 03:00")
    with pytest.raises(TapeError, match=r"block = 0\.5"):
        bootstrap_market(SOURCE, block=0.5)
    with pytest.raises(TapeError, match="at least two days in a row"):
        bootstrap_market(between(SOURCE, "2020-02-01", "2020-02-02"))


# --- shocks ---------------------------------------------------------------------------------------


def closes(market, column=layout.SPOT_CLOSE):
    return market.bars[:, 0, column]


@pytest.mark.parametrize(
    ("name", "low", "tolerance"),
    [
        ("2020-03-12", -0.54, 0.01),
        ("2021-05-19", -0.31, 0.03),
        ("2022-11-09", -0.53, 0.06),
        ("2025-10-10", -0.16, 0.01),
    ],
)
def test_a_shock_has_the_fall_that_it_is_known_for(name, low, tolerance):
    shocked = splice(SOURCE, name, at="2020-06-01")
    row = int(np.searchsorted(SOURCE.close_ns, pd.Timestamp("2020-06-01").value))
    span = slice(row + 1, row + 1 + SHOCKS[name].hours)
    assert closes(shocked, layout.MARK_LOW)[span].min() / closes(shocked)[row] - 1 == pytest.approx(
        low, abs=tolerance
    )
    before, after = (
        np.diff(np.log(closes(m)[row + SHOCKS[name].hours :])) for m in (SOURCE, shocked)
    )
    # the history goes on from where the shock ends
    assert after == pytest.approx(before, abs=1e-12)
    assert np.array_equal(shocked.close_ns, SOURCE.close_ns)


def test_up_to_the_shock_nothing_changes_and_after_it_features_know_it():
    row = 2000
    shocked = splice(SOURCE, "2020-03-12", at=row)
    assert np.array_equal(shocked.bars[: row + 1], SOURCE.bars[: row + 1])
    assert np.array_equal(shocked.features[: row + 1], SOURCE.features[: row + 1])
    column = {feature.name: k for k, feature in enumerate(shocked.table)}
    day = shocked.features[row + 30, 0]
    # the limit of the feature
    assert day[column["return_1d"]] * shocked.table[column["return_1d"]].scale < -0.299
    assert day[column["volatility_1d"]] * shocked.table[column["volatility_1d"]].scale > 3.0
    month = row + 24 * 31  # when no look-back reaches the shock, but for means without end
    same = [
        k
        for name, k in column.items()
        if name in ("basis", "return_14d", "volatility_7d", "rsi", "settlement_sin", "funding_last")
    ]
    assert shocked.features[month:, 0, same] == pytest.approx(
        SOURCE.features[month:, 0, same], abs=1e-3
    )


def test_a_halted_bar_keeps_its_prices():
    bars = SOURCE.bars.copy()
    bars[5000, 0, [layout.HALTED, layout.SPOT_VOLUME, layout.PERP_VOLUME]] = 1.0, 0.0, 0.0
    halted = replace(SOURCE, bars=bars)
    shocked = splice(halted, "2025-10-10", at=2000)
    factor = closes(shocked)[4000] / closes(halted)[4000]
    later = slice(4000, 6000)
    prices = [
        layout.SPOT_OPEN,
        layout.SPOT_CLOSE,
        layout.PERP_OPEN,
        layout.PERP_CLOSE,
        layout.MARK_HIGH,
        layout.MARK_LOW,
        layout.MARK_CLOSE,
    ]
    assert shocked.bars[later, 0][:, prices] == pytest.approx(
        halted.bars[later, 0][:, prices] * factor, rel=1e-12
    )
    assert np.array_equal(
        shocked.bars[later, 0, layout.HALTED], halted.bars[later, 0, layout.HALTED]
    )
    assert shocked.bars[5000, 0, layout.HALTED] == 1.0


def test_november_2022_settles_every_two_hours_at_the_cap():
    row = int(settled(SOURCE)[300]) - 1
    shocked = splice(SOURCE, "2022-11-09", at=row)
    inside = settled(shocked)[(settled(shocked) > row) & (settled(shocked) <= row + 36)]
    assert np.array_equal(np.diff(inside), np.full(len(inside) - 1, 2))
    assert shocked.bars[inside, 0, layout.SETTLE_RATE].min() == pytest.approx(-0.02)
    assert (shocked.bars[inside, 0, layout.SETTLE_RATE] == -0.02).sum() >= 12  # a day


def test_depth_falls_and_fills_with_it():
    row = 3000
    shocked = splice(SOURCE, "2025-10-10", at=row)
    worst = row + 1 + 5
    assert closes(shocked, layout.PERP_VOLUME)[worst] * closes(shocked)[worst - 1] == pytest.approx(
        0.05 * closes(SOURCE, layout.PERP_VOLUME)[worst] * closes(SOURCE)[worst - 1]
    )


def test_carry_through_march_2020_hurts_and_books_add_up():
    for market, loses in ((SOURCE, False), (splice(SOURCE, "2022-11-09", at=2000), True)):
        batch = Batch(1, market=market, episode="10D", actions="target", keeper_interval=None)
        batch.reset(0, paths=0, starts=1990)
        worst, parts = 0.0, 0.0
        for _ in range(12):
            batch.step(np.array([[0.0, 1.0, 1.0, 3.0]]))
            worst = min(worst, float(batch.ledger[0, 2]) / 1e5)
            parts += float(batch.ledger[0, :9].sum())
        assert batch.store.account[0, 1] - 1e5 == pytest.approx(parts, rel=1e-9)
        assert (worst < -0.02) == loses  # 2 % of the notional every two hours


def test_scale_softens_a_shock():
    row = 2500
    full, half = (splice(SOURCE, "2020-03-12", at=row, scale=scale) for scale in (1.0, 0.5))
    end = row + SHOCKS["2020-03-12"].hours

    def fall(market):
        return np.log(closes(market)[end] / closes(market)[row])

    assert fall(half) == pytest.approx(0.5 * fall(full))


def test_a_place_is_drawn_for_each_path_and_several_shocks_follow_each_other():
    market = synthetic_market(years=1, paths=3)
    shocked = splice(market, "2021-05-19", seed=1)
    again = splice(market, "2021-05-19", seed=1)
    assert shocked.hash == again.hash != splice(market, "2021-05-19", seed=2).hash
    changed = [
        int(
            (path_range(shocked, k, k + 1).bars != path_range(market, k, k + 1).bars)
            .any(axis=(1, 2))
            .argmax()
        )
        for k in range(3)
    ]
    assert len(set(changed)) == 3
    twice = splice(splice(SOURCE, "2021-05-19", at=1500), "2025-10-10", at=4000)
    assert len(twice.notes) == len(SOURCE.notes) + 2


def test_all_assets_of_a_path_are_hit():
    shocked = splice(PAIR, "2025-10-10", at=2000)
    fall = shocked.bars[2001:2013, :, layout.SPOT_CLOSE] / PAIR.bars[2000, :, layout.SPOT_CLOSE]
    assert fall[:, 0] == pytest.approx(fall[:, 1])
    assert shocked.symbols == PAIR.symbols


def test_shocks_that_do_not_fit_are_refused():
    with pytest.raises(TapeError, match="shock '2008-09-15'; expected one of 2020-03-12"):
        splice(SOURCE, "2008-09-15")
    with pytest.raises(TapeError, match=r"cannot begin at 10; it needs rows 744 \.\. "):
        splice(SOURCE, "2020-03-12", at=10)
    with pytest.raises(TapeError, match="a longer path than"):
        splice(synthetic_market(years=0.05), "2020-03-12")
    with pytest.raises(TapeError, match="bars of 1 h"):
        splice(synthetic_market(years=0.2, bar_hours=4), "2020-03-12")
    with pytest.raises(TapeError, match="scale = 3"):
        splice(SOURCE, "2020-03-12", at=2000, scale=3.0)
    with pytest.raises(SplitError):
        joint(PAIR, ["SYNTH-BTC-0"])
