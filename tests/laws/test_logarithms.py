"""The step's own exponential and logarithm beside forty digits of the true ones."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from fundenv.dynamics import action
from fundenv.dynamics import vector_math as logarithms

DRAWN = 3_000


def plain(rule):
    return getattr(rule, "py_func", rule)


def off(value, true):
    """Units in the last place by which a number misses."""
    return float(abs(Decimal(float(value)) - true) / Decimal(math.ulp(float(true))))


def test_exponential():
    x = np.append(
        np.random.default_rng(0).uniform(0.0, 10.7, DRAWN),
        [0.0, math.log(2), math.log(10), math.log(125)],
    )
    with localcontext(prec=40):
        assert (
            max(off(plain(logarithms.exp_of)(each), Decimal(each).exp()) for each in x.tolist())
            < 1.0
        )


def test_leverage_dial_meets_its_ends(monkeypatch):
    monkeypatch.setattr(action, "exp_of", plain(logarithms.exp_of))
    monkeypatch.setattr(action, "leverage_at", plain(action.leverage_at))
    for most in (1.0, 2.0, 10.0, 20.0, 125.0):
        assert plain(action.leverage_of)(-1.0, most) == 1.0
        assert plain(action.leverage_of)(1.0, most) == pytest.approx(most, rel=1e-15)


def test_logarithm_of_a_ratio():
    rng = np.random.default_rng(1)
    a = rng.uniform(1.0, 1e6, DRAWN)
    s = rng.uniform(-logarithms.NEAR, logarithms.NEAR, DRAWN) * 10.0 ** rng.uniform(
        -9.0, 0.0, DRAWN
    )
    b = a * (1.0 - s) / (1.0 + s)
    with localcontext(prec=40):
        missed = [
            off(plain(logarithms.log_of_ratio)(*each), (Decimal(each[0]) / Decimal(each[1])).ln())
            for each in zip(a.tolist(), b.tolist(), strict=True)
        ]
    assert max(missed) < 2.0
    assert plain(logarithms.log_of_ratio)(3.0, 3.0) == 0.0
