"""The console command `fundenv`, and where the folders `agents` and `experiments` are found.

Two other packages may have these import names, so a wheel does not install them at the top level:
they lie in `fundenv/bundled`. In a checkout they lie beside `fundenv`. This file imports the
standard library alone, so that `fundenv --help` answers at once.
"""

from __future__ import annotations

import ast
import os
import runpy
import sys
import textwrap
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

NAMES = ("agents", "experiments")
OWN = {
    "doctor": "Checks this installation: versions, compiler cache, GPU, data folder, browser, disk."
}
ORDER = (  # of the list: as a newcomer meets them
    "doctor info download data train evaluate benchmark report calibrate population solvable"
    " surface"
).split()
_INTERRUPTED = 130
_console = False  # whether this process was started as `fundenv`


def bundled_folder() -> Path:
    """The folder that holds `agents` and `experiments`: `fundenv/bundled` of an installed wheel, or
    the root of a checkout. Raises `ImportError` where neither holds them.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "bundled", package.parent):
        if all((folder / name / "__init__.py").is_file() for name in NAMES):
            return folder
    raise ImportError(
        f"{package / 'bundled'} lacks {' and '.join(NAMES)}; install fundenv again: pip install"
        " --force-reinstall --no-deps fundenv"
    )


def add_bundled_to_path() -> Path:
    """Make `import agents` and `import experiments` mean those of fundenv, in this process and in
    the Python processes that it starts (PYTHONPATH). Returns the folder that holds them.

    Call it before either name is imported. Raises `ImportError` where a package of another project
    with one of these names was imported before.
    """
    folder = bundled_folder()
    for name in NAMES:
        module = sys.modules.get(name)
        place = getattr(module, "__file__", None) or ""
        if module is not None and Path(place).resolve().parent != folder / name:
            raise ImportError(
                f"a package {name!r} of another project is imported already ({place or module});"
                " call fundenv.add_bundled_to_path() before that import, or use a process of its"
                " own"
            )
    text = str(folder)
    sys.path[:] = [text, *(path for path in sys.path if path != text)]
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path != text]
    os.environ["PYTHONPATH"] = os.pathsep.join([text, *filter(None, others)])
    return folder


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


def taken_by_others() -> dict[str, str]:
    """Of the names `agents` and `experiments` those that another project has installed too, and
    where.
    """
    folder = str(bundled_folder())
    paths = [path for path in sys.path if path and Path(path).resolve() != Path(folder)]
    found = {name: PathFinder.find_spec(name, paths) for name in NAMES}
    return {
        name: str(spec.origin)
        for name, spec in found.items()
        if spec is not None and spec.origin is not None
    }


def _refuse(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)  # noqa: T201
    return 2
