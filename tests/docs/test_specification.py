"""The numbered paragraphs of the specification, and who cites them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPECIFICATION = (ROOT / "docs" / "specification.md").read_text(encoding="utf-8")
PARAGRAPHS = [
    (int(a), int(b)) for a, b in re.findall(r"^\*\*(\d+)\.(\d+)\*\*", SPECIFICATION, re.M)
]
ORACLE = sorted((ROOT / "tests" / "oracle").rglob("*.py"))


def cited(text: str) -> set[tuple[int, int]]:
    """Every paragraph that `text` cites: "spec 6.2", "spec 6.2, 6.4" and "spec 6.2 to 6.4"."""
    number = r"\d+\.\d+"
    found = set()
    for run in re.findall(rf"spec ({number}(?:(?:, | to ){number})*)", text, re.IGNORECASE):
        for first, last in re.findall(rf"({number})(?: to ({number}))?", run):
            section, low = map(int, first.split("."))
            high = int((last or first).split(".")[1])
            found |= {(section, paragraph) for paragraph in range(low, high + 1)}
    return found


def test_paragraphs_are_numbered_without_a_gap() -> None:
    expected = [
        (section, paragraph)
        for section in dict.fromkeys(a for a, _ in PARAGRAPHS)
        for paragraph in range(1, sum(a == section for a, _ in PARAGRAPHS) + 1)
    ]
    assert expected == PARAGRAPHS
    assert list(dict.fromkeys(a for a, _ in PARAGRAPHS)) == list(range(1, PARAGRAPHS[-1][0] + 1))


def test_every_paragraph_has_its_anchor() -> None:
    anchors = re.findall(r"^\{#s(\d+)-(\d+)\}\n\*\*(\d+)\.(\d+)\*\*", SPECIFICATION, re.M)
    assert [(int(a), int(b)) for a, b, *_ in anchors] == PARAGRAPHS
    assert all(anchor[:2] == anchor[2:] for anchor in anchors)


def test_the_slow_account_cites_paragraphs_that_exist() -> None:
    for path in ORACLE:
        assert cited(path.read_text(encoding="utf-8")) <= set(PARAGRAPHS), path.name


def test_the_slow_account_cites_every_rule_of_a_bar() -> None:
    known = set().union(*(cited(path.read_text(encoding="utf-8")) for path in ORACLE))
    rules = {(a, b) for a, b in PARAGRAPHS if 4 <= a <= 11 or ((a, b) > (15, 3) and a == 15)}
    assert rules <= known, sorted(rules - known)
