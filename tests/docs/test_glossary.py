"""The glossary: its words are used, and the words that they replace are not."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^(\S.*)\n  \S", GLOSSARY, re.MULTILINE)
READ = (".py", ".md", ".toml", ".html", ".rst", ".sh", ".ipynb")
# word -> what stands in its place
REPLACED = {
    r"rehears\w*": "counterfactual training",
    r"struck": "liquidated",
    r"dregs": "undefined",
    r"given up": "fallback",
    r"put off": "deferred",
    r"who is invested": "invested accounts",
    r"watchers?": "TrainingCallback",
}
FORMER_NAMES = "agents/params.py"  # its table says which former names are read
PLACES = ("docs", "README.md", "BENCHMARKS.md", "CHANGELOG.md", "data", "agents/README.md")
CODE = ("fundenv", "agents", "experiments")


@cache
def texts(places: tuple[str, ...] = PLACES) -> dict[str, str]:
    """Name -> text of every file that people read."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *places],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in listed
        if name.endswith(READ) and (ROOT / name).is_file()
    }


def test_the_glossary_has_its_terms_in_order() -> None:
    assert len(TERMS) >= 25
    assert TERMS[:-1] == sorted(TERMS[:-1])  # the last is a class


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_used(term: str) -> None:
    where = texts((*PLACES, *CODE))
    plain = re.compile(rf"\b{re.escape(term)}", re.IGNORECASE)
    assert any(plain.search(text) for name, text in where.items() if name != "docs/glossary.md")


@pytest.mark.parametrize("word", REPLACED)
def test_a_replaced_word_is_not_used(word: str) -> None:
    old = re.compile(rf"\b{word}\b", re.IGNORECASE)
    found = [
        f"{name}:{text[: match.start()].count(chr(10)) + 1}"
        for name, text in texts((*PLACES, *CODE)).items()
        if name != FORMER_NAMES
        for match in old.finditer(text)
    ]
    assert not found, f"say {REPLACED[word]!r}: {', '.join(found[:10])}"
