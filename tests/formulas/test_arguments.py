"""Every public formula refuses what it cannot answer in one line, takes arrays, and gives plain
numbers.
"""

import datetime as dt
import inspect
import json
import math
import typing
import warnings

import numba
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fundenv.formulas.index import TOPICS, public_functions
from fundenv.formulas.kinds import Flag, Limits, Whole

FUNCTIONS = {name: f for module in TOPICS for name, f in public_functions(module).items()}
ROW = 3  # entries of every row
HOURS = pd.date_range("2024-01-01", periods=ROW, freq="8h")
pytestmark = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="the formulas of the kernel come unchecked then"
)
# Arguments that belong together, or have no kind of their own
FIXED = {
    "floors": [0.0, 10.0, 1e4],
    "upper_limits": [10.0, 100.0, 1e4],
    "tiers": [(10.0, 1.0), (100.0, 0.5)],
    "weights": "linear",
    "interval": None,
    "rule": "binance",
    "floor": -0.01,
    "base_initial": 0.9,
    "opened": "2024-01-01T00:00:00",
    "borrowed_at": "2024-01-01T00:10:00",
    "closed": "2024-01-02T00:00:00",
    "repaid_at": "2024-01-01T01:05:00",
    "times": list(HOURS),
    "notional": 1e-4,
}
WHERE = {("maintenance_amount", "floor"): 10.0}  # a bracket's floor, where others are a rate's


def kinds(function):
    """Argument -> its kind, for every argument of a public formula."""
    plain = inspect.unwrap(function)
    hints = typing.get_type_hints(plain, include_extras=True)
    found = {}
    for name in inspect.signature(plain).parameters:
        meta = getattr(hints.get(name), "__metadata__", ())
        found[name] = next((m for m in meta if hasattr(m, "read")), None)
    return found


def numbers_of(kind, inner=False):
    """Ordinary values of one kind, inside its limits."""
    if isinstance(kind, Flag):
        return st.booleans()
    if isinstance(kind, Whole):
        return st.integers(int(max(kind.low, -40)), int(min(kind.high, 40)))
    if kind.signs:
        return st.sampled_from([1.0, -1.0])
    low = 1 if kind.above is not None else max(100 * kind.low, -100_000)
    values = st.integers(math.ceil(low), math.floor(min(100 * kind.high, 100_000)))
    values = values.map(lambda x: (x or 1) / 100 if kind.nonzero else x / 100)
    return st.lists(values, min_size=ROW, max_size=ROW) if kind.series and not inner else values


def arguments_of(name):
    """A dictionary of ordinary arguments of one formula."""
    parts = {}
    for argument, kind in kinds(FUNCTIONS[name]).items():
        if (name, argument) in WHERE:
            parts[argument] = st.just(WHERE[name, argument])
        elif argument in FIXED and not (name == "notional" or argument == name):
            parts[argument] = st.just(FIXED[argument])
        else:
            parts[argument] = numbers_of(kind)
    return st.fixed_dictionaries(parts)


def is_plain(result):
    if isinstance(result, tuple):
        return all(is_plain(part) for part in result)
    if isinstance(result, np.ndarray):
        return result.ndim > 0
    return type(result) in (float, int, bool, str)


def one_line(error, name):
    text = str(error)
    assert "\n" not in text
    assert len(text) < 300
    assert ": " in text


pytest_functions = pytest.mark.parametrize("name", sorted(FUNCTIONS))
quick = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
)


@pytest_functions
@quick
@given(data=st.data())
def test_ordinary_numbers_give_plain_numbers_without_a_warning(name, data):
    given_values = data.draw(arguments_of(name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = FUNCTIONS[name](**given_values)
        except ValueError as error:  # a book that is not deep enough, rates out of order
            one_line(error, name)
            return
    assert is_plain(result)
    if not isinstance(result, np.ndarray):
        json.dumps(result)
    else:
        assert not np.isnan(result).any()
    assert not (isinstance(result, float) and math.isnan(result)) or name in UNDEFINED


# 0 / 0 within the limits of the arguments: no size, value or margin at all
UNDEFINED = {
    "account_margin_ratio", "uni_mmr", "binance_price", "dydx_price", "okx_price",
    "binance_adl_rank",
}  # fmt: skip


@pytest_functions
@quick
@given(data=st.data())
def test_an_array_gives_what_its_entries_give(name, data):
    found = kinds(FUNCTIONS[name])
    many = [
        argument
        for argument, kind in found.items()
        if type(kind) is Limits
        and not kind.series
        and not kind.one
        and argument not in FIXED
        and (name, argument) not in WHERE
    ]
    if not many or any(isinstance(kind, Limits) and kind.series for kind in found.values()):
        return
    base = data.draw(arguments_of(name))
    for argument in many:
        base[argument] = np.array(
            data.draw(st.lists(numbers_of(found[argument]), min_size=ROW, max_size=ROW))
        )
    try:
        together = FUNCTIONS[name](**base)
    except ValueError as error:
        one_line(error, name)
        return
    for k in range(ROW):
        alone = FUNCTIONS[name](**base | {argument: float(base[argument][k]) for argument in many})
        parts = together if isinstance(together, tuple) else (together,)
        singles = alone if isinstance(alone, tuple) else (alone,)
        for part, single in zip(parts, singles, strict=True):
            assert part.shape == (ROW,)
            assert part[k] == single or (np.isnan(part[k]) and np.isnan(single))


RUBBISH = [
    None, "short", "1.0", b"1", [], [1.0, None], [[1.0], [1.0, 2.0]], {}, object(), True, 1j,
    float("nan"), float("inf"), -float("inf"), 10**400, -1e300, np.array(["a"]), pd.NaT,
    dt.datetime(1, 1, 1), np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 1, 0]), lambda: 1,
]  # fmt: skip


@pytest_functions
def test_rubbish_is_refused_in_one_line_that_names_the_argument(name):
    function = FUNCTIONS[name]
    base = {}
    for argument, kind in kinds(function).items():
        value = WHERE.get((name, argument), FIXED.get(argument))
        if argument == name or (value is None and kind is not None):
            value = 1 if isinstance(kind, Whole) else 1.0
            value = [1.0, 1.0, 1.0] if getattr(kind, "series", False) else value
            value = (
                0.5 if isinstance(kind, Limits) and kind.high == 1.0 and not kind.signs else value
            )
            value = [0.5] * ROW if value == 0.5 and kind.series else value
        base[argument] = value
    for argument, kind in kinds(function).items():
        for rubbish in RUBBISH:
            if kind is None and argument in ("weights", "rule", "interval"):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    result = function(**base | {argument: rubbish})
                except ValueError as error:
                    one_line(error, name)
                    continue
            assert is_plain(result) or isinstance(result, np.ndarray)
            assert rubbish is not None or argument in ("floor", "previous_rate"), argument
            assert not isinstance(rubbish, str | bytes | dict), (argument, rubbish)


@pytest_functions
def test_a_missing_number_gives_a_missing_number_or_is_refused(name):
    function = FUNCTIONS[name]
    for argument, kind in kinds(function).items():
        if type(kind) is not Limits or kind.series or argument in UNREAD.get(name, ()):
            continue
        for base in _variants(name, argument):
            if not _go_together(function, base):
                continue
            try:
                result = function(**base | {argument: math.nan})
            except ValueError as error:
                one_line(error, name)
                continue
            parts = result if isinstance(result, tuple) else (result,)
            assert any(np.all(np.isnan(part)) for part in parts), (argument, base)


def _go_together(function, values):
    try:
        function(**values)
    except ValueError:
        return False
    return True


def _variants(name, argument):
    """The example, with what may be left out left out, flags turned off, and zeros."""
    base, found = _example(name), kinds(FUNCTIONS[name])
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    spare = {n: None for n, p in parameters.items() if p.default is None and n != argument}
    flags = {n: False for n, kind in found.items() if isinstance(kind, Flag)}
    zeros = {
        n: 0.0
        for n, kind in found.items()
        if type(kind) is Limits and not kind.series and n not in spare and kind.above is None
    }
    zeros.pop(argument, None)
    return [base | extra for extra in ({}, spare, flags, spare | flags, zeros)]


# what does not enter at these arguments: another rule's number
UNREAD = {"rate_by_rule": ("mean_rate",)}


def _example(name):
    found = {}
    for argument, kind in kinds(FUNCTIONS[name]).items():
        if (name, argument) in WHERE or (argument in FIXED and argument != name):
            found[argument] = WHERE.get((name, argument), FIXED.get(argument))
        elif isinstance(kind, Flag):
            found[argument] = True
        elif isinstance(kind, Whole):
            found[argument] = 2
        else:
            value = 0.25 if kind.high == 1.0 and not kind.signs else 1.0
            found[argument] = [value] * ROW if kind.series else value
    return found
