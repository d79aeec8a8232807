"""The commands of the pages: each one names a command that exists, with options that it takes."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from experiments.core.groups import parse
from fundenv.command import OWN
from fundenv.doctor import command_line
from tests.docs.test_pages import PAGES, ROOT

SOURCES = (ROOT / "README.md", ROOT / "data/README.md", ROOT / "agents/README.md", *PAGES)
BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:fundenv|python -m (?:experiments|fundenv))\b[^`]*)`")
START = re.compile(r"(?:fundenv|python -m fundenv) (\w+)|python -m experiments\.([\w.]+)")
PLACEHOLDERS = {"COMMAND", "...", "NAME"}


def commands(page: Path) -> list[str]:
    """The commands of a page, blocks first, without comments and line breaks."""
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(BLOCK.findall(text)).replace("\\\n", " ")
    found = [*blocks.split("\n"), *(" ".join(each.split()) for each in INLINE.findall(text))]
    return [each for each in found if START.match(each) and not PLACEHOLDERS & set(each.split())]


ALL = [(page, each) for page in SOURCES for each in dict.fromkeys(commands(page))]


@pytest.mark.parametrize(
    ("page", "line"), ALL, ids=[f"{page.relative_to(ROOT)}: {line[:60]}" for page, line in ALL]
)
def test_a_command_of_a_page_is_understood(page: Path, line: str) -> None:
    """Parsed as the command itself does, but not run."""
    words = shlex.split(line, comments=True)
    start = START.match(line)
    assert start
    name, arguments = start[1] or start[2], words[2:] if start[1] else words[3:]
    if name in OWN:
        assert name == "doctor"
        command_line().parse_args(arguments)
        return
    module = f"experiments.{name}"
    assert find_spec(module), f"{page.name}: there is no command {name}"
    args = getattr(import_module(module), "Args", None)
    assert args, f"{page.name}: {name} has no command line"
    parse(args, arguments, prog=name, description=None)


def test_there_are_commands_to_check() -> None:
    assert len(ALL) > 40
