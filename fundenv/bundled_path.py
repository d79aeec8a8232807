"""Where the folders `agents` and `experiments` are found.

Two other packages may have these import names, so a wheel does not install them at the top level:
they lie in `fundenv/bundled`. In a checkout they lie beside `fundenv`. This file imports the
standard library alone.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

NAMES = ("agents", "experiments")


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
