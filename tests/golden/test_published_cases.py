"""Every published worked example, through the public functions.

`cases.json` holds the facts: inputs, the numbers as published, tolerance, source; `calls` says
which public functions they are given to.
"""

import datetime as dt
import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from fundenv.formulas import borrowing, liquidation, margin
from tests.golden import calls

CASES = json.loads(Path(__file__).with_name("cases.json").read_text())


# kinds of case that have one call
SAME = {
    "fees": "fee",
    "realised_pnl_inverse": "profit_inverse",
    "unrealised_pnl_inverse": "profit_inverse",
    "liquidation_isolated_after_funding": "liquidation_isolated",
}


def results(case):
    kind = case["kind"]
    call = getattr(calls, SAME.get(kind, kind))
    venue = [case["venue"]] if "venue" in inspect.signature(call).parameters else []
    return call(case["inputs"], *venue)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_published_case(case):
    ours = results(case)
    assert set(ours) == set(case["expected"])
    for name, published in case["expected"].items():
        tolerance = case["tolerance"]
        assert ours[name] == pytest.approx(
            published, rel=tolerance.get("rel", 0.0), abs=tolerance.get("abs", 0.0)
        ), name


def test_what_the_pages_say_beside_the_numbers():
    # Bybit, cross: 5,739.08 before it is rounded to the tick of 0.5. Binance: 13:20 to 14:15
    # touches two clock hours. OKX: 0.11 % is below 1.575 %.
    assert liquidation.bybit_inverse_cross_price(
        0.5, 10_000, 8000, 0.005, 0.00075
    ) == pytest.approx(5739.08, abs=0.005)
    assert (
        borrowing.clock_hours(dt.datetime(2024, 1, 1, 13, 20), dt.datetime(2024, 1, 1, 14, 15)) == 2
    )
    assert margin.margin_ratio(1000.0, -990.0, 9010.0) < 0.015 + 0.00075


def changed_number(value):
    """Another number of the same kind: a fraction stays below 1."""
    if isinstance(value, float):
        return value * (1.3 if value > 1 or value * 1.3 < 1 else 0.7)
    return value + 7


def test_no_case_passes_by_ignoring_its_inputs():
    ignored = set()
    for case in CASES:
        before = results(case)
        for name, value in case["inputs"].items():
            if isinstance(value, int | float):
                changed = results(case | {"inputs": case["inputs"] | {name: changed_number(value)}})
                if all(np.array_equal(changed[key], before[key]) for key in before):
                    ignored.add(f"{case['id']}.{name}")
    assert ignored == IGNORED


# Numbers on which the rule does not depend there: the premium inside the dead zone, the interest
# outside it, an ask above the index, the length of a started hour, and what a page prints beside
# the inputs (leverage beside the wallet, numbers of tiers and steps, hours charged).
IGNORED = set(
    """
    FP01.entry FP06a.open_cutoff_seconds FP06a.size FP06e.open_cutoff_seconds
    FP06g.open_cutoff_seconds FR01.avg_premium FR01.clamp FR02b.clamp FR03.interest FR06c.impact_ask
    FR06e.impact_ask FR07.premium IN01a.hours IN01e.hours IN02.hours_charged LQ07a.leverage
    LQ07c.leverage LQ07e.leverage LQ07g.leverage LQ08a.leverage LQ08c.leverage LQ08e.leverage
    LQ11.size MG04.steps MG07.liq_fee MG07.mmr MG14.tier_from MG14.tier_to
    """.split()
)
