"""Writes one self-contained HTML page about finished runs: verdict, intervals, charts, worst
episodes, trades, provenance, warnings.

RUN is the folder of a benchmark, or of an evaluation with --out. The page shows several runs side
by side. The page needs no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.checkpoint import CHECKPOINT
from experiments.analysis.comparison import Comparison
from experiments.analysis.printers import RESULTS, show_results, write_results
from experiments.analysis.tables import Cells, Row
from experiments.analysis.verdict import with_words
from experiments.benchmarking.trials import SWEEP
from experiments.core.cli import run
from experiments.core.run_folder import RunError, read_json, write_text
from experiments.rollout.export import write_returns, write_trades
from experiments.tensorboard.cards import write_run
from fundenv.command import called

PAGE = "report.html"


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the report."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of finished runs."""
    out: Path | None = None
    """File of the page; default: report.html in the first run's folder."""


def main(args: Args) -> None:
    """Read, write, say where."""
    if not args.runs:
        raise RunError(
            "no run is named; give the folder of a finished benchmark or evaluation, as runs/demo"
        )
    for folder in args.runs:
        if (folder / SWEEP).is_file():
            raise RunError(
                f"{folder} is the folder of a sweep; name folders of its cells, as"
                f" {folder / next(iter(read_json(folder / SWEEP)['cells']))}"
            )
        if (folder / CHECKPOINT).is_file() and not (folder / RESULTS).is_file():
            raise RunError(
                f"{folder} holds a trained agent that was not evaluated yet; first:"
                f" {called('evaluate')} --agents {folder} --out runs/evaluation"
            )
    out = args.out if args.out is not None else args.runs[0] / PAGE
    _write(out, args.runs)


def conclude(
    out: Path,
    found: Comparison,
    rows: Sequence[Row],
    *,
    title: str,
    facts: Sequence[str],
    params: dict[str, dict[str, Any]],
    more: Sequence[tuple[str, Cells]] = (),
    kept: bool = True,
) -> None:
    """The end of a benchmark or an evaluation: prints the comparison `found`, and where the run
    folder `out` is `kept`, writes it into results.json, results.md, TensorBoard and the page.

    params: of each agent by name. more: headings and tables to print besides.
    """
    config = read_json(out / "config.json")
    markets = read_json(out / "provenance.json")["markets"]
    comparison = with_words(found, markets, config)
    rate = float(config["cash_rate"])
    show_results(rows, comparison, cash_rate=rate, more=more)  # first: the disk may be full
    if kept:
        write_results(out, rows, comparison, title=title, facts=facts, cash_rate=rate, more=more)
        write_run(out, comparison, rows, facts, config, params)
        print(f"results: {out / 'results.md'}")
        _write(out / PAGE, (out,))


def _write(page: Path, folders: Sequence[Path]) -> None:
    """The page, and trades.csv and daily returns in the same folder."""
    runs = _read(folders)
    write_text(page, _pieces().page(runs))
    rollouts = [item for run in runs for item in run.rollouts]
    write_trades(page.parent, rollouts)
    write_returns(page.parent, rollouts)
    print(f"report: {page}   (trades.csv, daily_returns.csv and .parquet beside it)")


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
