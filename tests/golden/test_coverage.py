"""The table of README.md counts the cases that run."""

from pathlib import Path

from tests.golden.coverage import table


def test_the_table_is_current():
    assert Path(__file__).with_name("README.md").read_text(encoding="utf-8").endswith(table()), (
        "python -m tests.golden.coverage prints it"
    )
