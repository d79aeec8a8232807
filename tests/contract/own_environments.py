"""Runs the contract tests of clients in environments of their own, and prints a table.

Most clients cannot live together with the versions in `constraints.txt`, or not with each other.
For each one this script makes a virtual environment, installs fundenv and the client into it with
the versions that the client's own requirements allow, and runs the client's test file there.

    python tests/contract/own_environments.py                     # all; minutes each
    python tests/contract/own_environments.py torchrl minari      # some
    python tests/contract/own_environments.py --folder DIR        # keep and reuse the environments

A client that cannot be installed stands in the table with pip's reason; one whose tests fail makes
the exit status 1. Environments with torch take several GB where pip finds its CUDA build only.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


class Client(NamedTuple):
    """What is installed for a client, which package's version is told, and which tests run."""

    packages: tuple[str, ...]
    version_of: str
    tests: str  # a file of this folder
    chosen: str = ""  # pytest's -k


CLIENTS: dict[str, Client] = {
    "gymnasium-newest": Client(("gymnasium", "orjson"), "gymnasium", "test_gymnasium.py"),
    "infos": Client(("orjson", "ormsgpack", "dm-tree", "h5py"), "dm-tree", "test_infos.py"),
    "sb3": Client(("stable-baselines3",), "stable-baselines3", "test_sb3.py", "not zoo"),
    # `enjoy` imports requests, which nothing it asks for brings any more
    "rl-zoo3": Client(("rl_zoo3", "optuna", "requests"), "rl_zoo3", "test_sb3.py", "zoo"),
    "single-file": Client(("torch",), "torch", "test_loops.py"),
    "torchrl": Client(("torchrl",), "torchrl", "test_torchrl.py"),
    "tianshou": Client(("tianshou<1",), "tianshou", "test_tianshou.py"),
    "tianshou-newest": Client(("tianshou>=1",), "tianshou", "test_tianshou.py"),
    "skrl": Client(("skrl", "torch"), "skrl", "test_skrl.py"),
    "minari": Client(("minari[hdf5,create]",), "minari", "test_offline.py", "minari"),
    "d3rlpy": Client(("d3rlpy",), "d3rlpy", "test_offline.py", "d3rlpy"),
    "pufferlib": Client(("pufferlib<3",), "pufferlib", "test_pufferlib.py"),
}
_VERSIONS = (
    "import importlib.metadata as m, sys\nfor name in sys.argv[1:]: print(m.version(name), end=' ')"
)


def run(command: list[str], timeout: float) -> tuple[int, str]:
    """(exit status, everything printed); a command that takes too long has the status 124."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return 124, f"no end after {timeout:.0f} s"
    return done.returncode, done.stdout + done.stderr


def reason(text: str) -> str:
    """The line that says best what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r"error|conflict|no end", line, re.IGNORECASE)]
    return (told or lines or ["no output"])[0][:90]


def check(name: str, client: Client, folder: Path, timeout: float) -> tuple[str, ...]:
    """One row of the table: client, its version, gymnasium's, numpy's, result."""
    home = folder / name
    python = str(home / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    if not Path(python).exists():
        venv.create(home, with_pip=True)
    # one resolution of everything, so that the client's requirements decide
    wanted = [".[render]", "pytest", *client.packages]
    status, text = run([python, "-m", "pip", "install", "-q", *wanted], timeout)
    if status:
        return name, "-", "-", "-", f"not installed: {reason(text)}"
    found = run([python, "-c", _VERSIONS, client.version_of, "gymnasium", "numpy"], 60)[1].split()
    chosen = ["-k", client.chosen] if client.chosen else []
    tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / client.tests)]
    status, text = run([*tests, *chosen], timeout)
    last = [line for line in text.splitlines() if re.search(r"\d+ (passed|failed|skipped)", line)]
    result = re.sub(r" in [\d.]+s.*|=", "", last[-1]).strip() if last else reason(text)
    return name, *found[:3], ("ok: " if status == 0 else "FAILED: ") + result


def main() -> int:
    """Check the clients named on the command line, or all."""
    assert __doc__
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    reader.add_argument("--folder", type=Path, help="where the environments are made and kept")
    reader.add_argument("--timeout", type=float, default=1800, help="seconds for each command")
    given = reader.parse_args()
    unknown = [name for name in given.clients if name not in CLIENTS]
    if unknown:
        reader.error(f"no client {unknown[0]!r}; the clients are {', '.join(CLIENTS)}")
    rows = [("client", "version", "gymnasium", "numpy", "result")]
    with tempfile.TemporaryDirectory() as spare:
        for name in given.clients or CLIENTS:
            sys.stderr.write(f"{name} ...\n")
            rows.append(check(name, CLIENTS[name], given.folder or Path(spare), given.timeout))
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    return int(any(row[-1].startswith("FAILED") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
