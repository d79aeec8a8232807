"""What `experiments.data` shows of a folder's tables, downloaded or one's own: what there is, and
what the plausibility check finds.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from fundenv.market import DataError
from fundenv.market.plausibility import check_accept
from fundenv.market.plausibility.folder import Checked, Summary


def show_tables(summaries: Sequence[Summary]) -> None:
    """One row a table."""
    fixed = [Column(name, no_wrap=True) for name in ("file", "rows", "span")]
    table = Table(*fixed, "bars", "gaps")
    for item in summaries:
        span = f"{item.first:%Y-%m-%d} .. {item.last:%Y-%m-%d}" if item.first is not None else "-"
        table.add_row(item.file.called, str(item.rows), span, item.step or "-", str(item.gaps))
    # a file or a pipe has no width of its own, and 80 cut the names
    Console(width=max(Console().width, 110)).print(table)


def show_findings(checked: Checked, accept: Sequence[str]) -> int:
    """Print what was found of one symbol; returns how many findings and errors would stop its
    market.
    """
    wanted = set(check_accept(accept))
    stopping = len(checked.errors)
    for text in checked.errors:
        print(f"refused  {text}")
    for finding in checked.findings:
        accepted = {finding.kind, f"{finding.kind}:{finding.symbol}"} & wanted
        if finding.refused and not accepted:
            stopping += 1
            print(f"refused  {finding.error()}")
        else:
            print(f"{'accepted' if finding.refused else 'note'}  {finding.line()}")
    for summary in checked.tables:
        for note in summary.notes:
            print(f"note  {note}")
    for text in checked.left_out:
        print(f"left out  {text}")
    if not (checked.errors or checked.findings or checked.left_out):
        print(f"fine  {checked.venue} {checked.symbol}: {len(checked.tables)} tables fit together")
    return stopping


def refuse(stopping: int) -> None:
    """Raise `DataError` where something would stop a market."""
    if stopping:
        raise DataError(
            f"{stopping} finding(s) above would stop load_market; mend the files, or let a kind"
            " through with --accept KIND"
        )
