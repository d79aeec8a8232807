"""Machine code on disk: what is read is what was written, and nothing is linked to what is not
here, which would end the process.
"""

from __future__ import annotations

from pathlib import Path

from fundenv.compiler import cache
from fundenv.compiler.object_code import ObjectCode, load
from tests.compiler.small_entry import compiled, end, start


def test_what_is_kept_comes_back() -> None:
    kept = ObjectCode("entry", ["exp", "pow"], b"\x7fELF\n\n\x00{}")
    assert ObjectCode.from_bytes(kept.to_bytes()) == kept


def test_code_that_calls_what_is_not_here_is_not_loaded() -> None:
    assert load(ObjectCode("entry", ["exp", "fundenv_no_such_function"], b"")) is None


@compiled
def test_and_it_is_compiled_anew(folder: Path) -> None:
    """As after an update that took a helper of numba's away."""
    (path,) = folder.rglob("double-*.code")
    kept = ObjectCode.from_bytes(path.read_bytes()[32:])
    cache.write_code(path, kept._replace(needs=["fundenv_no_such_function"]).to_bytes())
    assert end(start(folder))[1] == "compiling\n"
    assert end(start(folder))[1] == ""
