"""The part of the page about single accounts: months, worst episodes, trades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from experiments.analysis.tables import number, signed
from experiments.html_report.account_charts import details
from experiments.html_report.figures import months, worst
from experiments.html_report.html import chart, choose, table, text
from experiments.rollout.rollout import Rollout
from fundenv.envs.panels import GROUPS

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TRADE_COLUMNS = {
    "time": "step ends, UTC",
    "reason": "reason",
    "rule": "the rule says",
    "shortfall": "shortfall",
    "filled_spot": "spot",
    "spot_price": "spot price",
    "filled_perp": "perp",
    "perp_price": "perp price",
    "traded": "notional",
    "fee": "fee",
    "result": "result",
    "equity": "equity after",
    "leverage": "target leverage",
    "funding_last": "funding, bp/8 h",
    "funding_z": "its z",
    "basis": "basis, bp",
    "net_carry": "net carry / year",
}
MONEY = ("traded", "fee", "result", "equity")
MOST_TRADES = 2000  # per agent and symbol on the page; trades.csv holds all


def inside(rollouts: Sequence[Rollout], agents: Sequence[str], symbols: Sequence[str]) -> str:
    """The section."""
    tables = "".join(
        _hidden(
            item,
            f"<h3>Growth above cash by month, %</h3>{_months(item)}"
            f"<h3>Worst episodes</h3>{worst_table(item)}",
        )
        for item in details(rollouts)
    )
    return (
        "<p>Of an agent with several seeds the one of median growth is shown.</p>"
        f'<div class="pick">{choose("agent", agents)} {choose("account", symbols)}</div>'
        f"<h3>Where its growth came from</h3>{chart('parts')}"
        f"<h3>What it held, and how near liquidation was</h3>{chart('position')}"
        f"<h3>Funding against position</h3>{chart('funding')}{tables}"
        '<h3>Trades</h3><p><label>reason <select id="reason"><option>all</option></select></label>'
        ' <span id="count" role="status"></span></p>'
        '<div class="wide tall" tabindex="0"><table id="trades"></table></div>'
        '<p class="note">Sizes in base units, money in the quote currency. Notional: traded on both'
        " legs. Result: where a trade leaves the account flat, what the position brought since the"
        " account was flat before: price profit, funding, all costs; without the interest on"
        " cash.</p>"
    )


def _hidden(item: Rollout, content: str) -> str:
    return (
        f'<div class="one" data-agent="{text(item.agent)}" data-symbol="{text(item.symbol)}"'
        f" hidden>{content}</div>"
    )


def _months(item: Rollout) -> str:
    lines = []
    for year, values in months(item).iterrows():
        shaded = [_shade(value) for value in values]
        lines.append([str(year), *shaded, f"<b>{signed(np.nansum(values) / 100)}</b>"])
    return table(["year", *MONTHS, "year"], lines, kind="months")


def _shade(value: float) -> str:
    """A cell whose colour says how much and whose sign says which way."""
    if np.isnan(value):
        return ""
    red, green, blue = (0, 114, 178) if value > 0 else (213, 94, 0)
    shade = f"rgba({red},{green},{blue},{min(0.45, abs(value) / 4):.2f})"
    return f'<span style="background:{shade}">{signed(value / 100)}</span>'


def worst_table(item: Rollout) -> str:
    """The deepest falls, with what lost most: both legs together, because what one loses the other
    gains.
    """
    lines = []
    for fall in worst(item):
        parts = list(fall["parts"].values())
        sums = {name: sum(parts[k] for k in columns) for name, _, columns in GROUPS}
        blame = sorted(sums.items(), key=lambda pair: pair[1])[:2]
        causes = ", ".join(
            f"{name} {signed(value / 100)} %"
            for name, value in blame
            if signed(value / 100).startswith("-")
        )
        lines.append(
            [
                f"{signed(-fall['depth'] / 100)} %",
                f"{fall['peak']:%Y-%m-%d}",
                f"{fall['trough']:%Y-%m-%d}",
                f"{fall['recovered']:%Y-%m-%d}" if fall["recovered"] else "not recovered",
                causes,
                f"{fall['margin']:.1f} σ",
                str(fall["liquidations"]),
            ]
        )
    if not lines:
        return "<p>Its equity never fell.</p>"
    header = ["fall", "peak", "trough", "recovered", "what lost most", "nearest margin"]
    return table([*header, "liquidations"], lines)


def trade_lists(rollouts: Sequence[Rollout]) -> dict[str, Any]:
    """Rows of the trade list by agent and symbol, as texts and numbers."""
    found: dict[str, Any] = {}
    for item in details(rollouts):
        assets = ["asset"] if "+" in item.symbol else []
        names = ["time", *assets, *list(TRADE_COLUMNS)[1:]]
        shown = item.trades[names].tail(MOST_TRADES)
        columns = [_shown(name, shown[name]) for name in names]
        found[f"{item.agent}\n{item.symbol}"] = {
            "all": len(item.trades),
            "columns": [TRADE_COLUMNS.get(name, name) for name in names],
            "reason": names.index("reason"),
            "rows": [list(row) for row in zip(*columns, strict=True)],
        }
    return found


def _shown(name: str, values: pd.Series[Any]) -> list[str | float | None]:
    if name == "time":
        return list(pd.DatetimeIndex(values).strftime("%Y-%m-%d %H:%M"))
    if name in MONEY:
        return [f"{value:,.2f}" if np.isfinite(value) else None for value in values]
    if name in ("reason", "rule", "shortfall", "asset"):
        return [str(value) for value in values]
    return [float(number(value, 6)) if np.isfinite(value) else None for value in values]
