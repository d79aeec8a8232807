"""Federated forecasters: sums that are exact and hide their parts, HAR equal to pooled data,
clients that get lost.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments import federated
from experiments.core import cli
from experiments.core.run_folder import RunError
from experiments.federating import models, secure
from experiments.federating.client import Task
from experiments.federating.server import Federation
from fundenv.forecast import Panel, panel_of
from fundenv.forecast.estimators.har import ClippedHar
from fundenv.market import synthetic_market

Capture = pytest.CaptureFixture[str]
COINS = ("btc", "eth", "alt")


def parties(n: int) -> list[secure.Party]:
    found = [secure.Party(i) for i in range(n)]
    for party in found:
        party.meet({other.number: other.public for other in found})
    return found


def test_the_masked_sum_is_the_sum() -> None:
    draw = np.random.default_rng(0)
    values = [draw.normal(scale=10.0 ** draw.integers(-6, 6), size=300) for _ in range(4)]
    masked = [p.mask(v, 1, range(4)) for p, v in zip(parties(4), values, strict=True)]
    whole = [np.rint(v * 2.0**40) for v in values]
    exact = np.array([sum(int(v[k]) for v in whole) for k in range(300)], dtype=object)
    np.testing.assert_array_equal(
        secure.total(masked), np.array([float(int(e)) / 2.0**40 for e in exact])
    )


def test_a_single_message_says_nothing() -> None:
    """Messages of very different contributions are all uniform, and unrelated to what they hold."""
    n = 20_000
    ramp = np.linspace(-1000.0, 1000.0, n)
    for values in (np.zeros(n), np.full(n, 1e6), ramp):
        message = parties(2)[0].mask(values, 1, range(2))
        unit = message.astype(np.float64) / 2.0**64
        assert stats.kstest(unit, "uniform").pvalue > 1e-4
        assert abs(np.corrcoef(unit, ramp)[0, 1]) < 5 / np.sqrt(n)
        low = (message & np.uint64(0xFF)).astype(int)
        assert stats.chisquare(np.bincount(low, minlength=256)).pvalue > 1e-4


def test_every_exchange_has_a_mask_of_its_own_and_every_pair_another_key() -> None:
    three = parties(3)
    values = np.zeros(50)
    one, again, next_one = (three[0].mask(values, k, range(3)) for k in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not (one == next_one).any()
    assert not (three[0].mask(values, 1, (0, 1)) == three[0].mask(values, 1, (0, 2))).any()
    # without the others' messages the sum stays hidden
    assert not np.allclose(secure.total([one, three[1].mask(values, 1, range(3))]), 0.0)


@pytest.mark.parametrize("bad", [np.array([1e7]), np.array([np.nan]), np.array([np.inf])])
def test_what_does_not_fit_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(RunError, match="does not fit into the secure sum"):
        secure.fixed(bad, 3)


def panels() -> list[Panel]:
    return [
        panel_of(synthetic_market(coin, years=1.0, seed=COINS.index(coin)))  # type: ignore[arg-type]
        for coin in COINS
    ]


def test_har_from_sums_is_least_squares_on_pooled_data() -> None:
    each = panels()
    among = range(len(each))
    masked = [
        p.mask(models.har_sums(panel), 1, among) for p, panel in zip(parties(3), each, strict=True)
    ]
    weights = models.har_weights(secure.total(masked))
    fit = ClippedHar()
    fit.learn(Panel(tuple(history for panel in each for history in panel)))
    np.testing.assert_allclose(weights, fit.weights[""], rtol=1e-9, atol=1e-12)
    assert not np.allclose(models.har_weights(models.har_sums(each[0])), weights, rtol=1e-2)
    # the forecasts are those of the forecaster of that name
    for ours, theirs in zip(models.har_means(each[0], fit.weights[""]), each[0], strict=True):
        unseen = Panel((theirs,))
        fit.weights = {"": fit.weights[""]}
        np.testing.assert_allclose(ours, fit.means(unseen)[0])


@pytest.mark.parametrize("name", models.NETWORKS)
def test_weights_survive_their_way_as_a_vector(name: str) -> None:
    panel = panels()[0]
    one, two = (models.Shared(name, panel, ("funding",), seed) for seed in (1, 2))
    for each in (one, two):
        each.begin(each.moments())
    np.testing.assert_array_equal(one.weights(), models.initial_weights(name, one.x.shape[1], 1))
    one.train(1, 0)
    two.load(one.weights())
    np.testing.assert_array_equal(one.means(panel)[0], two.means(panel)[0])
    assert one.error() == two.error()


def tasks(folder: Path) -> list[Task]:
    found = []
    for i, coin in enumerate(COINS):
        load = partial(synthetic_market, coin, years=1.0, seed=i)
        market = load()
        first, last = int(market.close_ns[0]), int(market.close_ns[-1])
        start = first + (last - first) * 2 // 3
        found.append(
            Task(
                number=i, name=coin, load=load, fit_from=None, start=start, end=last, epochs=1,
                seed=0, out=folder,
            )
        )  # fmt: skip
    return found


@pytest.mark.slow
def test_a_lost_client_gets_one_line_and_the_others_go_on(tmp_path: Path) -> None:
    said: list[str] = []
    given = tasks(tmp_path)
    with Federation(given, 300.0, say=said.append) as federation:
        whole = federation.sum("har")
        federation.processes[1].terminate()
        federation.processes[1].join()
        rest = federation.sum("har")
        assert said == [
            "client eth is lost in exchange 2 (har): its connection is closed; the others go on"
            " without it"
        ]
        known = [panel.until(given[0].start - 1) for panel in panels()]
        each = [models.har_sums(panel) for panel in known]
        np.testing.assert_allclose(whole, sum(each), rtol=0, atol=1e-11)
        np.testing.assert_allclose(rest, each[0] + each[2], rtol=0, atol=1e-11)
        federation.processes[2].terminate()
        federation.processes[2].join()
        with pytest.raises(RunError, match=r"client alt is lost .* a federation needs 2"):
            federation.sum("har")


def called(*words: str) -> int:
    before, sys.argv = sys.argv, ["federated", *words]
    try:
        cli.run(federated.Args, federated.main, federated.__doc__)
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.mark.slow
def test_the_command_compares_the_three_ways(tmp_path: Path) -> None:
    out = tmp_path / "one"
    assert called("--models", "har", "nlinear", "--rounds", "2", "--out", str(out)) == 0
    result = json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)
    assert result["har_difference"] < 1e-9
    rows = {(r["client"], r["horizon"], r["model"]): r for r in result["rows"]}
    for horizon in (1, 63):
        pooled, together = (
            rows["all clients", horizon, f"har {w}"] for w in ("pooled", "federated")
        )
        assert pooled["rmse"] == pytest.approx(together["rmse"], rel=1e-9)
    assert {r["model"] for r in result["rows"]} >= {"nlinear local", "nlinear tuned"}
    assert "public" in (out / "results.md").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rounds", "0"), "--rounds 0: give at least 1"),
        (("--symbols", "BTC"), "--symbols BTC needs --data"),
        (("--clients", "a"), "1 client: a federation needs 2"),
        (("--clients", "x/a", "y/a"), "two clients are called a"),
    ],
)
def test_a_slip_is_answered_in_one_line(words: tuple[str, ...], said: str, capsys: Capture) -> None:
    assert called(*words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
