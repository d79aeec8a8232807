"""The pages of the site: their code runs, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plain_python import run_code

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BUILT = ("_build", "_generated", "gallery")
PAGES = sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in BUILT)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]
# pages that the build makes
MADE = ("gallery/index",)


def name(page: Path) -> str:
    return str(page.relative_to(DOCS))


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """All blocks of a page in one process, in an empty folder, as a reader would paste them."""
    code = "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
    done = run_code(code, tmp_path)
    assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *WITH_CODE], ids=lambda page: page.stem)
def test_code_that_imports_the_agents_finds_those_of_a_wheel_too(page: Path) -> None:
    code = "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
    code = re.sub(r"'''.*?'''", "", code, flags=re.DOTALL)  # files that a block writes
    if imports := re.search(r"^(?:from|import) (?:agents|experiments)\b", code, re.MULTILINE):
        assert "fundenv.add_bundled_to_path()" in code[: imports.start()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http", "#")):
            continue
        path, _, anchor = target.partition("#")
        if any(path.removeprefix("../").startswith(made) for made in MADE):
            continue
        file = (page.parent / path).resolve()
        assert file.is_file(), f"{name(page)}: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{name(page)}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page: of its headings, and those that it sets."""
    text = page.read_text(encoding="utf-8")
    if include := re.fullmatch(r"```\{include\} (\S+)\n```\n", text):
        return anchors((page.parent / include[1]).resolve())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
    return slugs | set(re.findall(r"^\{#([\w-]+)\}", text, re.MULTILINE))


def test_every_concept_has_a_picture() -> None:
    for page in (each for each in PAGES if each.parent.name == "concepts" and each.stem != "index"):
        assert "```{picture} " in page.read_text(encoding="utf-8"), name(page)


def test_every_page_stands_in_a_list_of_contents() -> None:
    listed = {"index"}
    for page in PAGES:
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            entries = [e for e in tree.split("\n") if e and not e.startswith(":")]
            folder = page.parent.relative_to(DOCS)
            listed |= {(folder / entry).as_posix() for entry in entries}
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES}
    assert pages - listed == set()
    assert listed - pages <= set(MADE)


def test_prose_is_at_most_100_columns_wide() -> None:
    for page in PAGES:
        fenced = False
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            fenced ^= line.lstrip().startswith("```")
            wide = len(line) > 100 and not fenced and not line.startswith(("|", "!["))
            assert not wide, f"{name(page)}:{number}"
