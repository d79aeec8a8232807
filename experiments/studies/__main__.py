"""Lists the scripts of this folder."""

from __future__ import annotations

from pathlib import Path

from fundenv.command import listed, scripts

if __name__ == "__main__":
    print(listed("usage: python -m experiments.studies.NAME ...", scripts(Path(__file__).parent)))
