"""Writes one self-contained HTML page about finished runs: verdict, intervals, charts, worst
episodes, trades, provenance, warnings.

RUN is the folder of a benchmark, or of an evaluation with --out. Several runs are laid side by
side. The page needs no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.analysis.tables import Row
from experiments.core.cli import run
from experiments.core.run_folder import RunError, write_text
from experiments.tensorboard.cards import write_run

PAGE = "report.html"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the report."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of finished runs."""
    out: Path | None = None
    """The page; default: report.html in the first run's folder."""


def main(args: Args) -> None:
    """Read, write, say where."""
    if not args.runs:
        raise RunError(
            "no run is named; give the folder of a finished benchmark or evaluation, as runs/demo"
        )
    out = args.out if args.out is not None else args.runs[0] / PAGE
    write_text(out, _pieces().page(_read(args.runs)))
    print(f"report: {out}")


def conclude(out: Path, rows: Sequence[Row], facts: Sequence[str]) -> None:
    """The end of a benchmark or an evaluation: the cards of TensorBoard and the page of the run
    folder `out`.
    """
    pieces, runs = _pieces(), _read((out,))
    verdict = pieces.verdict(pieces.intervals(list(runs[0].tracks)), runs[0])
    write_run(out, rows, facts, runs[0].config, verdict)
    write_text(out / PAGE, pieces.page(runs))
    print(f"report: {out / PAGE}")


def _read(folders: Sequence[Path]) -> Any:
    from experiments.html_report.read_runs import read_runs

    return read_runs(list(folders))


def _pieces() -> Any:
    """The module of the page, which needs the extra `report`."""
    try:
        from experiments.html_report import page
    except ImportError as error:
        raise RunError(
            f"the report needs plotly and arch ({error}); install them with: pip install"
            " 'fundenv[report]'"
        ) from None
    return page


if __name__ == "__main__":
    run(Args, main, __doc__)
