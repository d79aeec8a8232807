"""One comparison: its figures against the definitions, and its words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.analysis import cautions
from experiments.analysis.compare import FINAL, choose, compare
from experiments.analysis.comparison import Comparison
from experiments.analysis.pictures import palette
from experiments.analysis.printers import sections
from experiments.analysis.tables import number, signed
from experiments.analysis.verdict import best_rule, subject, verdict, with_words
from fundenv.dynamics.types import PARTS

PARTS_OF = dict.fromkeys(PARTS, 0.0)


def made(
    growth: dict[str, list[float]],
    *,
    rates: tuple[float, ...] = (0.0, 0.02),
    symbols: tuple[str, ...] = ("A", "B"),
    wild: float = 0.001,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tidy rows and daily returns over a year of agents whose seeds grow by so much a year above
    every cash rate.
    """
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=365, tz="UTC")
    noise = rng.normal(0.0, wild, 365)
    noise -= noise.mean()
    rows, daily = [], []
    for agent, seeds in growth.items():
        for seed, value in enumerate(seeds):
            for symbol in symbols:
                for rate in rates:
                    head = {"agent": agent, "candidate": 0, "fold": FINAL, "seed": seed}
                    head |= {"symbol": symbol, "cash_rate": rate}
                    daily.append(pd.DataFrame({"time": days, "net": value / 365 + noise} | head))
                    figures = {"net_log_growth": value, "years": 1.0, "sharpe": 1.0}
                    figures |= dict.fromkeys(
                        ("max_drawdown", "liquidations_per_year", "time_in_market"), 0.0
                    )
                    figures |= {"turnover_per_year": 2.0, "nearest_margin": 5.0}
                    rows.append(head | {"cost": 1.0} | figures | PARTS_OF | {"funding": value})
    return pd.DataFrame(rows), pd.concat(daily, ignore_index=True)


def of(growth: dict[str, list[float]], **more: Any) -> Comparison:
    tidy, daily = made(growth, **more)
    return compare(tidy, daily, sorted(tidy["cash_rate"].unique()), span="test")


def test_growth_is_the_mean_over_seeds_symbols_and_cash_rates() -> None:
    tidy, daily = made({"carry": [0.01], "ppo": [0.02, 0.04]})
    tidy.loc[(tidy["agent"] == "carry") & (tidy["cash_rate"] == 0.02), "net_log_growth"] = 0.03
    found = compare(tidy, daily, (0.0, 0.02), span="test")
    assert found.standing("carry").growth == pytest.approx(0.02)
    assert found.standing("carry").by_cash_rate == {"0": 0.01, "0.02": 0.03}
    assert found.standing("ppo").by_seed == {"0": 0.02, "1": 0.04}
    assert found.standing("ppo").worst_seed == pytest.approx(0.02)
    assert found.cash() == "the mean of the cash rates 0 % and 2 %"


def test_every_figure_of_a_standing_by_hand() -> None:
    """Two seeds, two symbols, two cash rates, two costs, a fold: each figure from its own rows."""
    tidy, daily = made({"carry": [0.02], "clairvoyant": [0.12], "ppo": [0.04, 0.08]}, wild=0.0)
    ours = tidy["agent"] == "ppo"
    tidy.loc[ours, "max_drawdown"] = np.linspace(0.01, 0.08, 8)
    tidy.loc[ours, "liquidations_per_year"] = np.arange(8.0)
    tidy.loc[ours, "nearest_margin"] = 10.0 - np.arange(8.0)
    paid = {"fees": -0.01, "spread": -0.02, "impact": -0.03, "borrow_interest": -0.04}
    parts = paid | {"liquidation_loss": -0.05, "spot_pnl": 0.1, "perp_pnl": -0.3, "funding": 0.7}
    for name, value in (parts | {"cash_interest": 0.015}).items():
        tidy.loc[ours, name] = value
    doubled = tidy.assign(cost=2.0, net_log_growth=tidy["net_log_growth"] - 0.03)
    doubled = doubled.assign(max_drawdown=1.0, funding=9.0, nearest_margin=0.0)
    fold = tidy.assign(fold=1, net_log_growth=tidy["net_log_growth"] / 2)
    whole = pd.concat([tidy, doubled, fold], ignore_index=True)
    daily = pd.concat([daily, daily.assign(fold=1)], ignore_index=True)
    found = compare(whole, daily, [0.0, 0.02], span="test").standing("ppo")
    expected = {
        "growth": 0.06,
        "iqm": 0.06,
        "worst_seed": 0.04,
        "double_costs": 0.03,
        "of_bound": (0.06 - 0.02) / (0.12 - 0.02),
        "sharpe": 1.0,
        "max_drawdown": 0.045,
        "deepest_fall": 0.08,
        "liquidations_per_year": 3.5,
        "turnover_per_year": 2.0,
        "nearest_margin": 3.0,
        "funding": 0.7,
        "price": -0.2,
        "costs": -0.15,
        "cash": 0.015,
        "low": None,  # without any noise nothing can be said about other days
        "kind": "learner",
        "seeds": 2,
    }
    told = {name: getattr(found, name) for name in expected}
    assert told == {
        name: pytest.approx(value, abs=1e-12) if isinstance(value, float) else value
        for name, value in expected.items()
    }
    assert found.by_seed == {"0": pytest.approx(0.04), "1": pytest.approx(0.08)}
    assert found.by_fold == {"1": pytest.approx(0.03)}
    assert found.by_cash_rate == {"0": pytest.approx(0.06), "0.02": pytest.approx(0.06)}
    assert compare(whole, daily, [0.0, 0.02], span="test").standing("clairvoyant").kind == "bound"


def test_few_seeds_have_no_probability_and_no_p_value() -> None:
    for seeds, said in ((1, "1 seed: no statement"), (4, "4 seeds: no statement")):
        (duel,) = of({"carry": [0.01], "ppo": [0.05] * seeds}).duels
        assert (duel.improvement, duel.p_value, duel.statement) == (None, None, said)
        assert duel.difference == pytest.approx(0.04)
    (duel,) = of({"carry": [0.01], "ppo": [0.04, 0.05, 0.05, 0.05, 0.06]}).duels
    assert duel.improvement == 1.0
    assert duel.statement == ""


def test_rules_do_not_train_so_their_days_are_enough() -> None:
    found = of({"carry": [0.01], "ewma": [0.05], "clairvoyant": [0.5]}, wild=0.01)
    assert [(each.agent, each.other) for each in found.duels] == [("ewma", "carry")]
    assert found.duels[0].statement == ""
    assert found.duels[0].improvement is None  # of seeds, which a rule has not


def test_the_best_rule_is_said_to_be_chosen_on_the_span_that_judges_it() -> None:
    (_, (_, cells, legend)) = sections(of({"carry": [0.01], "ewma": [0.05]}, wild=0.01))
    assert "P" not in cells[0]
    assert "P:" not in legend
    assert legend.endswith("chosen on this same span, which flatters its difference and p.")
    learnt = sections(of({"carry": [0.01], "ppo": [0.05] * 5}))[1][2]
    assert "P: probability" in learnt
    assert "chosen" not in learnt


def test_a_candidate_is_chosen_by_its_interquartile_mean() -> None:
    tidy, _ = made({"ppo": [0.01, 0.02, 0.03, 0.04]})
    other = tidy.assign(candidate=1, net_log_growth=tidy["net_log_growth"] - 0.01)
    assert choose(pd.concat([tidy, other]), "ppo") == 0
    assert choose(pd.concat([tidy.assign(candidate=1), other.assign(candidate=0)]), "ppo") == 1


def test_json_keeps_everything() -> None:
    found = with_words(
        of({"carry": [0.01], "ppo": [0.05], "flat": [0.0]}), {}, {"venue": "binance"}
    )
    assert Comparison.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert [signed(x) for x in (-1e-7, 1e-7, 0.0, -0.0123)] == ["0.00", "0.00", "0.00", "-1.23"]
    assert [number(x) for x in (-1e-7, -0.5, -0.0)] == ["0.00", "-0.50", "0.00"]


def test_the_verdict_claims_only_what_the_interval_carries() -> None:
    for shift, word in ((0.2, "ppo, beats"), (-0.2, "ppo, loses to"), (0.0, "cannot be told")):
        tidy, daily = made({"carry": [0.1], "ppo": [0.1 + shift + x for x in (0, 0, 0, 0, 0)]})
        noise = np.random.default_rng(1).normal(0.0, 0.001, len(daily))
        daily["net"] += np.where(daily["agent"] == "ppo", noise, 0.0)
        assert word in " ".join(verdict(compare(tidy, daily, (0.0, 0.02), span="test")))
    one = " ".join(verdict(of({"carry": [0.1], "ppo": [0.3]})))
    assert "beats" not in one
    assert "1 seed: no statement" in one


def test_who_knows_the_future_is_neither_the_best_agent_nor_the_best_rule() -> None:
    found = of({"carry": [0.02], "flat": [0.0], "ppo": [0.03], "clairvoyant": [0.3]})
    assert subject(found).agent == "ppo"
    rule = best_rule(found)
    assert rule is not None
    assert rule.agent == "carry"
    said = " ".join(verdict(found))
    assert "ppo grew most" in said
    assert "the best rule, carry" in said
    assert "clairvoyant" not in said
    alone = of({"clairvoyant": [0.3]})
    assert best_rule(alone) is None
    assert "clairvoyant grew most" in " ".join(verdict(alone))


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (("2020-01-01", "2020-12-31"), ("2020-12-01", "2021-06-01"), "overlap"),
        (("2020-01-01", "2020-12-31"), ("2021-01-05", "2021-06-01"), "only 5.0 days apart"),
        (("2021-01-01", "2021-12-31"), ("2020-01-01", "2020-06-01"), "before the training span"),
        (("2020-01-01", "2020-12-31"), ("2021-01-15", "2021-06-01"), ""),
    ],
)
def test_spans_that_touch_are_reported(
    train: tuple[str, str], test: tuple[str, str], said: str
) -> None:
    markets = {"train": {"paths": [["A", *train]]}, "test": {"paths": [["A", *test]]}}
    found = cautions.overlaps(markets)
    assert said in "\n".join(found)
    assert bool(found) == bool(said)


def test_cautions_name_few_seeds_short_spans_numbers_without_a_source_and_the_data() -> None:
    markets = {
        "test": {
            "paths": [["SYNTH-BTC-0", "2022-01-01", "2022-12-31"]],
            "cautions": ["AAAUSDT: rates repeat every 8 h"],
        }
    }
    found = of({"carry": [0.01], "ppo": [0.05, 0.04]})
    said = "\n".join(cautions.cautions(found, markets, {"venue": "binance"}))
    assert "ppo: 2 seeds: no statement" in said
    assert "carry:" not in said
    assert "The test span has 1.00 years" in said
    assert "SYNTH-BTC-0: a synthetic market" in said
    assert "borrow.base_annual" in said
    assert "Accepted though it looks wrong: AAAUSDT: rates repeat every 8 h." in said


@pytest.mark.parametrize(
    ("date", "said"),
    [
        (None, "2019-09-08 (not sourced), 2021-03-18, 2021-06-22"),
        ("2021-04-01", "2021-03-18"),
    ],
)
def test_cautions_name_the_brackets_in_force(date: str | None, said: str) -> None:
    paths = [["BTCUSDT", "2021-01-01", "2021-12-31"], ["SYNTH-BTC-0", "2021-01-01", "2021-12-31"]]
    found = of({"carry": [0.01]})
    config = {"venue": "binance", "venue_date": date}
    lines = cautions.cautions(found, {"test": {"paths": paths}}, config)
    assert lines[-1] == (
        f"BTCUSDT: maintenance brackets of {said}; their sources are in the venue's file."
    )


def test_an_agent_looks_alike_in_every_chart_and_no_two_look_the_same() -> None:
    names = [f"agent {k}" for k in range(20)]
    looks = palette(names)
    assert len(set(looks.values())) == 20
    assert palette([*names, *names]) == looks


def test_the_risk_of_venues_is_priced_beside_figures_on_several() -> None:
    paths = [["binance:BTCUSDT+hyperliquid:BTC@binance:BTCUSDT", "2024-01-01", "2024-12-31"]]
    one = [["BTCUSDT", "2024-01-01", "2024-12-31"]]
    said = {}
    for name, held in (("two", paths), ("one", one)):
        comparison = of({"carry": [0.01], "flat": [0.0]})
        markets = {comparison.span: {"paths": held}}
        config = {"venue": "binance", "env": ("failure_rate=0.05",)}
        said[name] = [c for c in with_words(comparison, markets, config).cautions if "fails" in c]
    assert not said["one"]
    assert "(binance, hyperliquid)" in said["two"][0]
    assert "At 5 % a year and a loss of 90 %" in said["two"][0]
    assert "costs 0.45 % a year" in said["two"][0]
