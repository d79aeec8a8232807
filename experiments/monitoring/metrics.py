"""The rows and alerts of the monitor in the text format of Prometheus:
https://prometheus.io/docs/instrumenting/exposition_formats.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from experiments.monitoring.rows import Row
from experiments.monitoring.watch import Watch

CONTENT = "text/plain; version=0.0.4; charset=utf-8"
_OF_ROW = {
    "settled_bp": "last settled rate, bp per 8 h",
    "predicted_bp": "running estimate of the next rate, bp per 8 h",
    "z": "settled rate less the mean of the last 90, in their deviations",
    "settlement_seconds": "time to the next settlement",
    "basis_bp": "perpetual over spot, bp",
    "open_interest_quote": "open interest in quote currency",
    "above_lowest_bp": "predicted rate over the lowest of the coin, bp per 8 h",
    "age_seconds": "time since the venue's last rate",
}


def text(watch: Watch) -> bytes:
    """The page that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(_Collector(watch))
    return bytes(generate_latest(registry))


class _Collector:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterable[Any]:
        view = self._watch.view()
        for name, meaning in _OF_ROW.items():
            family = GaugeMetricFamily(
                f"fundenv_{name}", meaning, labels=["venue", "symbol", "coin"]
            )
            for row in view.rows:
                value = _values(row)[name]
                if value is not None:
                    family.add_metric([*row.key, row.base], value)
            yield family
        equity = GaugeMetricFamily(
            "fundenv_paper_equity", "paper account, quote", labels=["venue", "symbols"]
        )
        distance = GaugeMetricFamily(
            "fundenv_paper_margin_distance",
            "margin above maintenance over notional, in daily volatilities",
            labels=["venue", "symbols"],
        )
        for own in view.accounts:
            names = [str(own["venue"]), "+".join(own["symbols"])]
            equity.add_metric(names, own["equity"])
            if own["held"] and own.get("margin_distance") is not None:
                distance.add_metric(names, own["margin_distance"])
        alerts = GaugeMetricFamily("fundenv_alert", "1 while active", labels=["kind", "what"])
        for alert in view.alerts:
            alerts.add_metric([alert.kind, alert.what], 1.0)
        looks = GaugeMetricFamily(
            "fundenv_looks", "polls of the venues since the start", view.looks
        )
        yield from (equity, distance, alerts, looks)


def _values(row: Row) -> dict[str, float | None]:
    told = (
        row.settled,
        row.predicted,
        row.z,
        row.seconds,
        row.basis,
        row.open_interest,
        row.above,
        row.age,
    )
    return dict(zip(_OF_ROW, told, strict=True))
