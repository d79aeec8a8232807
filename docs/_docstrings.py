"""Turns the plain-text docstrings of the code into reStructuredText."""

from __future__ import annotations

import contextlib
import inspect
import re
from importlib import import_module
from typing import Any

FIELD = re.compile(r"Alias for field number \d+")
BLOCKS = ("Args:", "Attributes:", "Returns:", "Raises:")


def to_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite `lines` in place: code in literals, parameters as a list, everything else escaped."""
    if FIELD.fullmatch("\n".join(lines).strip()):
        lines[:] = [_comment(name)]
    lines[:] = converted("\n".join(lines), _names(obj)).split("\n")


def converted(text: str, names: tuple[str, ...] = ()) -> str:
    """A docstring as reStructuredText; `names` are the parameters that an `Args:` block lists."""
    pieces = []
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        rows = paragraph.split("\n")
        if rows[0].strip() in BLOCKS:
            pieces += _block(rows, names)
        elif all(row.startswith("    ") for row in rows):
            pieces.append("::\n\n" + "\n".join("    " + row.strip() for row in rows))
        elif rows[0].lstrip().startswith("- "):
            pieces.append(_bullets(rows))
        else:
            pieces.append(inline(" ".join(row.strip() for row in rows)))
    return "\n\n".join(pieces)


def inline(text: str) -> str:
    """Escape what reStructuredText would read as markup; code in backticks becomes a literal."""
    parts = re.split(r"(`[^`]+`)", text)
    marked = ""
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        if part.startswith("`"):
            marked += f"`{part}`" + ("\\ " if after[:1].isalnum() else "")  # the s of ``step``s
        else:
            marked += re.sub(r"([\\*|_`])", r"\\\1", part)
    return marked


def _comment(name: str) -> str:
    """The comment behind a field of a NamedTuple, which Python gives no docstring of its own."""
    module, owner, field = name.rsplit(".", 2)
    source = inspect.getsource(getattr(import_module(module), owner))
    found = re.search(rf"^    {field}: .*?  # (.*)$", source, re.MULTILINE)
    return found[1][:1].upper() + found[1][1:] if found else ""


def _block(rows: list[str], names: tuple[str, ...]) -> list[str]:
    body = " ".join(row.strip() for row in rows[1:])
    if not names:
        return [f"**{rows[0].strip()}** {inline(body)}"]
    starts = [
        match.start()
        for match in re.finditer(rf"(?:(?<=^)|(?<=[.;)] ))(?:{'|'.join(names)}): ", body)
    ]
    if not starts:
        return [f"**{rows[0].strip()}** {inline(body)}"]
    items = [body[a:b].strip() for a, b in zip(starts, [*starts[1:], len(body)], strict=True)]
    listed = [
        f"* **{inline(key)}**: {inline(rest)}" for key, rest in (i.split(": ", 1) for i in items)
    ]
    head = [f"**{rows[0].strip()}**"]
    return [*head, "\n".join(listed)]


def _bullets(rows: list[str]) -> str:
    items: list[str] = []
    for row in rows:
        if row.lstrip().startswith("- "):
            items.append(row.strip()[2:])
        else:
            items[-1] += " " + row.strip()
    return "\n".join(f"* {inline(item)}" for item in items)


def _names(obj: Any) -> tuple[str, ...]:
    found: list[str] = list(getattr(obj, "__annotations__", {}))
    with contextlib.suppress(TypeError, ValueError):  # constants have no signature
        found += list(inspect.signature(obj).parameters)
    return tuple(re.escape(name) for name in dict.fromkeys(found))
