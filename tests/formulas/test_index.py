"""The index of the public formulas is complete and current, and every one of them says what it
takes.
"""

import inspect
from pathlib import Path

import pytest

from fundenv import formulas
from fundenv.formulas.index import TOPICS, page, public_functions

FUNCTIONS = [(name, f) for module in TOPICS for name, f in public_functions(module).items()]


def test_the_page_is_current():
    assert (Path(formulas.__file__).parent / "README.md").read_text(
        encoding="utf-8"
    ) == page()  # python -m fundenv.formulas.index > ...


def test_it_lists_what_help_pages_compute():
    assert len(FUNCTIONS) > 100
    names = {name for name, _ in FUNCTIONS}
    assert {
        "payment",
        "inverse_unrealised",
        "inverse_average_entry",
        "binance_price",
        "okx_rate",
        "binance_interest",
        "uni_mmr",
        "fee",
    } <= names


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=[name for name, _ in FUNCTIONS])
def test_every_function_has_a_docstring(name, function):
    assert len(inspect.getdoc(function) or "") > 40, name
