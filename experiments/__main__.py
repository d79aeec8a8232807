"""Lists the commands: the scripts of this folder."""

from __future__ import annotations

import sys
from pathlib import Path

from fundenv.command import listed, scripts

if __name__ == "__main__":
    found = scripts(Path(__file__).parent)
    if len(sys.argv) > 1 and sys.argv[1] in found:
        sys.exit(f"error: a command is named behind a dot: python -m experiments.{sys.argv[1]}")
    print(
        listed(
            "usage: python -m experiments.COMMAND ...   (or: fundenv COMMAND ...)",
            found,
            "python -m experiments.COMMAND --help",
        )
    )
