"""Checks an installation: versions, import names, compiler cache, GPU, data folder, browser, disk.

Runs with the core dependencies alone. Prints one line per check; exit status 1 where a line says
FAULT.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

from fundenv.bundled_path import bundled_folder, taken_by_others

OLDEST = (3, 11)
LEAST_FREE = 2.0  # GB: a benchmark of ten seeds writes about one
EXTRAS = ("train", "calibrate", "download", "monitor", "render", "sb3", "report", "rllib", "cuda")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "firefox", "open", "xdg-open")


class Line(NamedTuple):
    """One finding. `status` is ok, note (something optional is absent) or FAULT."""

    status: str
    topic: str
    text: str


def command_line() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="fundenv doctor", description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="data folder (FUNDENV_DATA)")
    parser.add_argument("--out", type=Path, default=Path(), help="where runs will be written")
    parser.add_argument(
        "--warm", action="store_true", help="also compile every form of the simulation now"
    )
    return parser


def main(arguments: list[str]) -> int:
    """Print every line; 1 where one is a FAULT, else 0."""
    given = command_line().parse_args(arguments)
    faults = 0
    for line in checks(given.data, given.out):
        faults += line.status == "FAULT"
        print(f"{line.status:<6}{line.topic:<12}{line.text}", flush=True)  # noqa: T201
    for line in _warmed() if given.warm and not faults else ():
        print(f"{line.status:<6}{line.topic:<12}{line.text}", flush=True)  # noqa: T201
    print(f"{faults} fault(s)" if faults else "all is well")  # noqa: T201
    return int(faults > 0)


def checks(data: Path | None, out: Path) -> Iterator[Line]:
    """All findings, in the order in which they are shown."""
    yield _python()
    yield from _packages()
    yield from _names()
    for check in (_cache, _gpu, lambda: _data(data), _browser, lambda: _disk(out)):
        yield _guarded(check)


def _guarded(check: Callable[[], Line]) -> Line:
    """A check that fails in a way nobody foresaw is a finding too, not a traceback."""
    try:
        return check()
    except Exception as error:
        topic = getattr(check, "__name__", "check").strip("_")
        return Line("FAULT", topic, f"{type(error).__name__}: {error}")


def _python() -> Line:
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}, " + (
        f"{os.cpu_count()} cores, {sys.executable}"
    )
    if sys.version_info < OLDEST:
        return Line("FAULT", "Python", f"{said}; fundenv needs 3.11 or newer")
    return Line("ok", "Python", said)


def _packages() -> Iterator[Line]:
    """The package itself, what it needs, and what each extra needs."""
    place = Path(__file__).resolve().parent
    try:
        whole = metadata.distribution("fundenv")
    except metadata.PackageNotFoundError:
        yield Line("note", "fundenv", f"runs from {place}, not installed: pip install -e .")
        return
    form = "wheel" if (place / "bundled").is_dir() else "checkout"
    yield Line("ok", "fundenv", f"{whole.version}, {form} in {place}")
    groups = _groups(whole.requires or [])
    told: set[str] = set()  # `calibrate` needs all that `train` needs: each package once
    for extra, names in groups.items():
        lacking = [text for name, text in names.items() if _version(name) is None]
        wrong = [f"{name} {_version(name)} ({text})" for name, text in names.items() if _odd(text)]
        fresh = [name for name in names if name not in told]
        told |= set(names)
        shown = ", ".join(f"{name} {_version(name)}" for name in fresh) or "nothing more"
        topic, install = extra or "core", f"pip install 'fundenv[{extra}]'" if extra else ""
        if wrong or (lacking and not extra):
            remedy = install or "pip install --upgrade fundenv"
            yield Line("FAULT", topic, f"{', '.join(lacking + wrong)}: {remedy}")
        elif lacking:
            yield Line("note", topic, f"without {', '.join(lacking)}: {install}")
        else:
            yield Line("ok", topic, shown)


def _groups(requires: list[str]) -> dict[str, dict[str, str]]:
    """Extra -> package -> requirement; the extra "" is the core."""
    groups: dict[str, dict[str, str]] = {extra: {} for extra in ("", *EXTRAS)}
    for line in requires:
        text, _, marker = line.partition(";")
        found = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        extra = found[1] if found else ""
        name = re.split(r"[\s\[<>=!~]", text.strip(), maxsplit=1)[0]
        if extra in groups and name != "fundenv":
            groups[extra][name] = text.strip()
    return groups


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _odd(requirement: str) -> bool:
    """Whether an installed version lies outside what is asked for; False where nobody can say."""
    if util.find_spec("packaging") is None:
        return False
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    found = _version(wanted.name)
    return found is not None and not wanted.specifier.contains(found, prereleases=True)


def _names() -> Iterator[Line]:
    """Packages of other projects with the names `agents` and `experiments`."""
    try:
        yield Line("ok", "scripts", f"agents and experiments in {bundled_folder()}")
    except ImportError as error:
        yield Line("FAULT", "scripts", str(error))
        return
    for name, place in taken_by_others().items():
        yield Line(
            "note",
            "scripts",
            f"another project's {name!r} lies in {place}; `fundenv` uses its own, your code too"
            " after fundenv.add_bundled_to_path()",
        )


def _cache() -> Line:
    """The folder of the compiled rules takes files, and is the one that was asked for."""
    began = time.perf_counter()
    from fundenv.compiler.cache import cache_folder, wished_folder

    kept, wished = cache_folder(), wished_folder()
    if kept is None:
        return Line(
            "FAULT",
            "cache",
            f"{wished} takes no files, nor does a temporary folder, so every start compiles for a"
            " minute; name another folder with NUMBA_CACHE_DIR",
        )
    there = any(Path(kept).glob("*.code"))
    said = (
        "compiled rules are there"
        if there
        else "empty: the first training compiles for a minute, a single environment steps in plain"
        " Python meanwhile (--warm compiles all now)"
    )
    where = f"{kept}: {said} (numba in {time.perf_counter() - began:.1f} s)"
    if kept != str(wished):
        return Line("note", "cache", f"{wished} takes no files; {where}")
    return Line("ok", "cache", where)


def _warmed() -> Iterator[Line]:
    """Compile, or find compiled, every form of the simulation."""
    from fundenv.batch.warm import warm

    for name, compiled in warm():
        began = time.perf_counter()
        compiled()
        yield Line("ok", "compiled", f"{name}: ready after {time.perf_counter() - began:.1f} s")


def _gpu() -> Line:
    """What the driver sees, and whether torch can use it."""
    tool = shutil.which("nvidia-smi")
    seen = ""
    if tool is not None:
        asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
        seen = "; ".join(done.stdout.strip().splitlines()) if done.returncode == 0 else ""
    if not seen:
        return Line("note", "GPU", "no NVIDIA GPU is seen; everything runs on the CPU")
    if util.find_spec("torch") is None:
        return Line("note", "GPU", f"{seen}; torch is not installed: pip install 'fundenv[sb3]'")
    import torch

    if not torch.cuda.is_available():
        said = f"{seen}; torch {torch.__version__} cannot use it: install a CUDA build of torch"
        return Line("note", "GPU", said)
    return Line("ok", "GPU", f"{seen}; torch {torch.__version__} can use it")


def _data(given: Path | None) -> Line:
    """The folder of recorded data."""
    named = given or (Path(text) if (text := os.environ.get("FUNDENV_DATA")) else None)
    folder = named or Path("data/raw")
    files = sorted(folder.glob("**/*_funding*.*")) if folder.is_dir() else []
    if files:
        return Line("ok", "data", f"{folder}: {len(files)} funding file(s)")
    said = f"{folder} holds no *_funding file" if folder.is_dir() else f"{folder} does not exist"
    remedy = "fill it with `fundenv download`; without data the scripts use a synthetic market"
    return Line("FAULT" if named else "note", "data", f"{said}; {remedy}")


def _browser() -> Line:
    """Something that opens report.html."""
    found = [name for name in BROWSERS if shutil.which(name)]
    if found or sys.platform in ("win32", "darwin"):
        return Line("ok", "browser", f"{', '.join(found) or 'of the system'} opens report.html")
    return Line("note", "browser", "none is found; copy report.html to a machine that has one")


def _disk(out: Path) -> Line:
    """Room for runs, and whether the folder takes them."""
    folder = out.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    if not os.access(folder, os.W_OK):
        return Line("FAULT", "disk", f"{folder} takes no files; run elsewhere, or give --out")
    status = "ok" if free >= LEAST_FREE else "FAULT"
    remedy = "" if status == "ok" else f"; a benchmark needs about {LEAST_FREE:g} GB"
    return Line(status, "disk", f"{folder}: {free:.1f} GB free{remedy}")
