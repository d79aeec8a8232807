"""Lists the scripts of this folder."""

from __future__ import annotations

import ast
from pathlib import Path


def scripts() -> dict[str, str]:
    """Name and first docstring line of every module here with a command line of its own."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(isinstance(node, ast.ClassDef) and node.name == "Args" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").splitlines()[0]
    return found


if __name__ == "__main__":
    print("python -m experiments.<script> --help\n")
    for name, line in scripts().items():
        print(f"  {name:<16} {line}")
