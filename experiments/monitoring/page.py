"""The page: a Dash app over a `Watch`. It only shows: nothing on it trades or writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dash
import pandas as pd
from dash import Input, Output, State, dcc, html

from experiments.monitoring import charts, tables
from experiments.monitoring.watch import View, Watch

ASSETS = Path(__file__).with_name("assets")
SAID = (
    "Public data, without keys. This page sends no order: it cannot trade. Rates are bp of the"
    " notional for 8 h, positive where longs pay."
)
SECTIONS = ("told", "alerts", "funding", "carry", "paper")  # in the order of `_sections`
_IS_DARK = "function(n) { return window.matchMedia('(prefers-color-scheme: dark)').matches; }"
_QUIET: Any = {"displayModeBar": False, "responsive": True}


def build(watch: Watch, refresh: float) -> Any:
    """The app; refresh: seconds between two readings."""
    app: Any = dash.Dash(
        "fundenv.monitor",
        title="Funding monitor",
        assets_folder=str(ASSETS),
        update_title="",
        meta_tags=[
            {"name": "viewport", "content": "width=device-width, initial-scale=1"},
            {"name": "color-scheme", "content": "light dark"},
        ],
    )
    app.layout = lambda: _layout(watch, refresh)
    app.clientside_callback(_IS_DARK, Output("dark", "data"), Input("tick", "n_intervals"))

    def read(_: int) -> list[Any]:
        return _sections(watch)

    def draw(_: int, coin: str, dark: bool | None) -> list[Any]:
        rows = watch.view().rows
        keys = [row.key for row in rows if row.base == coin]
        return [
            charts.heat(rows, dark=bool(dark)),
            charts.settled(watch.histories, keys, dark=bool(dark)),
        ]

    def offer(_: int, offered: list[str], chosen: str | None) -> tuple[Any, Any]:
        """The coins by the venues' names for them, after the first answers."""
        coins = _coins(watch)
        if coins == offered:
            return dash.no_update, dash.no_update
        return coins, chosen if chosen in coins else coins[0]

    tick = Input("tick", "n_intervals")
    app.callback(
        [Output("coin", "options"), Output("coin", "value")],
        [tick, State("coin", "options"), State("coin", "value")],
    )(offer)
    app.callback([Output(name, "children") for name in SECTIONS], tick)(read)
    app.callback(
        [Output("heat", "figure"), Output("history", "figure")],
        [tick, Input("coin", "value"), Input("dark", "data")],
    )(draw)
    return app


def _coins(watch: Watch) -> list[str]:
    return list(dict.fromkeys(row.base for row in watch.view().rows))


def _layout(watch: Watch, refresh: float) -> Any:
    how, coins = watch.how, _coins(watch)
    judged = (
        f"Hedged positions at the predicted rates, % a year of the capital: leverage"
        f" {how.leverage:g}, cash {100 * how.cash_rate:g} % a year, a round trip by market orders"
        f" every {how.hold:g} days. A predicted rate holds for one settlement, not for a year."
    )
    return html.Main(
        [
            html.H1("Funding monitor"),
            html.P(SAID, className="note"),
            html.P(id="told", className="note"),
            html.H2("Alerts"),
            html.Div(id="alerts"),
            html.H2("Funding"),
            html.Div(id="funding"),
            html.H2("Carry, net of costs and cash"),
            html.P(judged, className="note"),
            html.Div(id="carry"),
            html.H2("Predicted rates"),
            dcc.Graph(id="heat", config=_QUIET),
            html.H2("Settled rates"),
            dcc.RadioItems(coins, coins[0] if coins else None, id="coin", inline=True),
            dcc.Graph(id="history", config=_QUIET),
            html.H2("Paper accounts"),
            html.Div(id="paper"),
            dcc.Store(id="dark"),
            dcc.Interval(id="tick", interval=round(refresh * 1000)),
        ]
    )


def _sections(watch: Watch) -> list[Any]:
    view = watch.view()
    return [
        _told(view),
        _alerts(view),
        _table(tables.funding(view.rows)),
        _table(tables.carry(view.carries)),
        _table(tables.paper(view.accounts)) if view.accounts else html.P("none", className="note"),
    ]


def _told(view: View) -> Any:
    if view.looked is None:
        return "asking the venues for the first time ..."
    when = pd.Timestamp(view.looked, unit="ms")
    return f"Poll {view.looks} at {when:%Y-%m-%d %H:%M:%S} UTC."


def _alerts(view: View) -> Any:
    standing = [
        html.Li(
            [
                html.Strong(f"{alert.kind} "),
                f"{alert.what}: {alert.text} ",
                html.Span(
                    f"since {pd.Timestamp(alert.since, unit='ms'):%H:%M} UTC", className="note"
                ),
            ],
            className=f"alert {alert.kind}",
        )
        for alert in view.alerts
    ]
    problems = [html.Li(line, className="note") for line in view.problems[:8]]
    found: list[Any] = [html.Ul(standing) if standing else html.P("none", className="note")]
    if problems:
        found.append(html.Details([html.Summary("what did not answer"), html.Ul(problems)]))
    return found


def _table(given: tables.Table) -> Any:
    head = [html.Th(name, title=meaning or None, scope="col") for name, meaning in given.heads]
    body = [
        html.Tr(
            [html.Th(cells[0], scope="row"), *(html.Td(cell) for cell in cells[1:])],
            className=kind or None,
        )
        for cells, kind in zip(given.rows, given.kinds, strict=True)
    ]
    return html.Div(
        html.Table([html.Thead(html.Tr(head)), html.Tbody(body)]), className="wide", tabIndex="0"
    )
