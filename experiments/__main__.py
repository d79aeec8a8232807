"""Lists the commands: the scripts of this folder."""

from __future__ import annotations

from pathlib import Path

from fundenv.command import listed, scripts

if __name__ == "__main__":
    found = scripts(Path(__file__).parent)
    print(
        listed(
            "usage: python -m experiments.COMMAND ...   (or: fundenv COMMAND ...)",
            found,
            "python -m experiments.COMMAND --help",
        )
    )
