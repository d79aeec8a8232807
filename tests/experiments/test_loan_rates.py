"""The study of loans: a rule that knows the rate of its account repays what another does not."""

from __future__ import annotations

import numpy as np

from experiments.studies import loan_rates as study
from fundenv.dynamics import types as t
from fundenv.market import synthetic_market


def test_a_rule_bound_elsewhere_pays_the_interest_that_it_does_not_see() -> None:
    market = synthetic_market(("btc", "eth"), years=0.5, seed=1)
    rule = "highest=4 enter=-5 exit=-9 borrow=-0.5 repay=-1"
    sees, blind = (study.played(market, rule, 24, own=own) for own in (True, False))
    interest = t.PARTS.index("borrow_interest")
    paid, avoided = blind.parts[:, interest].sum(), sees.parts[:, interest].sum()
    assert paid < 1.5 * avoided < 0
    assert np.isfinite(sees.parts).all()
    # nothing is missing
    np.testing.assert_allclose(blind.parts.sum(axis=1), -blind.fall, atol=1e-6)
