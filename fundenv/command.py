"""The console command `fundenv`.

This file imports the standard library alone, so that `fundenv --help` answers at once.
"""

from __future__ import annotations

import ast
import os
import runpy
import sys
import textwrap
from importlib import import_module
from pathlib import Path

from fundenv.bundled_path import add_bundled_to_path

OWN = {
    "doctor": "Checks this installation: versions, compiler cache, GPU, data folder, browser, disk."
}
ORDER = (  # of the list: as a newcomer meets them
    "doctor info download data train evaluate paper monitor benchmark sweep report forecast study"
    " federated calibrate population solvable surface gpu"
).split()
_INTERRUPTED = 130
_console = False  # whether this process was started as `fundenv`


def scripts(folder: Path) -> dict[str, str]:
    """Name and first docstring line of every module of `folder` with a command line of its own."""
    found = {}
    for path in sorted(folder.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.ClassDef) and node.name == "Args" for node in tree.body):
            found[path.stem] = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
    return found


def listed(head: str, lines: dict[str, str], more: str = "") -> str:
    """A list of commands for the screen."""
    width = max(map(len, lines)) + 4
    rows = [
        textwrap.fill(f"  {name:<{width - 2}}{text}", 100, subsequent_indent=" " * width)
        for name, text in lines.items()
    ]
    return "\n".join([head, "", *rows, *(["", more] if more else [])])


def called(script: str) -> str:
    """How the user calls a script of experiments/: `fundenv train`, or `python -m
    experiments.train` where this process was started so.
    """
    return f"fundenv {script}" if _console else f"python -m experiments.{script}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command named first; `arguments` without the program's name, by default those of the
    process. Returns the exit status.
    """
    global _console
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("--version", "-V"):
        print(f"fundenv {import_module('fundenv').__version__}")  # noqa: T201
        return 0
    if name == "doctor":
        return int(import_module("fundenv.doctor").main(rest))
    try:
        known = scripts(add_bundled_to_path() / "experiments") | OWN
    except ImportError as error:
        return _refuse(str(error))
    if name in ("--help", "-h", "help"):
        ordered = {key: known[key] for key in ORDER if key in known}
        text = listed("usage: fundenv COMMAND ...", ordered | known, "fundenv COMMAND --help")
        print(text)  # noqa: T201
        return 0
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        return _refuse(f"no command {name!r}; did you mean {', '.join(near)}? (fundenv --help)")
    _console = True
    sys.path.append(os.getcwd())  # last: an agent of the user's own is found, and hides nothing
    sys.argv = [name, *rest]
    try:
        runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    return 0


def _refuse(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)  # noqa: T201
    return 2
