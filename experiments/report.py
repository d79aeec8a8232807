"""Writes one self-contained HTML page about finished runs: verdict, intervals, charts, worst episodes, trades, provenance, warnings.

RUN is the folder of a benchmark, or of an evaluation with --out. Several runs are laid side by side. The page needs no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.cli import run
from experiments.run_folder import RunError, write_text


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the report."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of finished runs."""
    out: Path | None = None
    """The page; default: report.html in the first run's folder."""


def main(args: Args) -> None:
    """Read, write, say where."""
    try:
        from experiments.reports.page import page
    except ImportError as error:
        raise RunError(f"the report needs plotly and arch ({error}); install them with: pip install 'fundenv[report]'") from None
    from experiments.reports.runs import read_runs

    runs = read_runs(list(args.runs))
    out = args.out if args.out is not None else args.runs[0] / "report.html"
    write_text(out, page(runs))
    print(f"report: {out}")


if __name__ == "__main__":
    run(Args, main, __doc__)
