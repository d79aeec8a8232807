"""TensorBoard: the same tags for every agent, rule or learner.

Of a rollout, x is the day since the start and money is cumulative: contribution to log growth since
the start, mean over the accounts (one per symbol). Of a training, x is the environment step and
money is a yearly rate over the last window, averaged over its environments; these tags begin with
`Training/`, so that the two never share a chart.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from experiments.core.run_folder import RunError
from experiments.rollout.rollout import STATES, Rollout
from fundenv import metrics
from fundenv.dynamics.types import PARTS

PART_TAGS = dict(
    zip(
        PARTS,
        (
            "Price/spot",
            "Price/perp",
            "Funding/received",
            "Execution/fees",
            "Execution/spread",
            "Execution/impact",
            "Interest/borrow",
            "Interest/cash",
            "Risk/liquidation_loss",
        ),
        strict=True,
    )
)
STATE_TAGS = {
    "carry": "Position/carry",
    "hedge_ratio": "Risk/hedge_ratio",
    "leverage": "Risk/leverage",
    "margin_distance": "Risk/margin_distance",
    "drawdown": "Risk/drawdown",
    "funding_last": "Funding/rate_bp_8h",
    "perp_weight": "Position/perp_weight",
}
EQUITY, NET_GROWTH, REWARD, TURNOVER, LIQUIDATIONS = (
    "Return/equity",
    "Return/net_log_growth",
    "Return/reward",
    "Execution/turnover",
    "Risk/liquidations",
)
POINTS = 500  # at most, per rollout and per training
TRAINING = "Training/"  # before every tag of a training


# Custom scalars: one page of charts for each question; `|` is a regular expression over tags.
LAYOUT = {
    "Return": {"equity": [EQUITY], "growth above cash": [NET_GROWTH], "reward": [REWARD]},
    "Risk": {
        "drawdown": ["Risk/drawdown"],
        "margin distance, sigma": ["Risk/margin_distance"],
        "leverage": ["Risk/leverage"],
        "liquidations": [LIQUIDATIONS],
    },
    "Funding": {
        "received": ["Funding/received"],
        "settled rate, bp per 8 h": ["Funding/rate_bp_8h"],
        "carry held": ["Position/carry"],
    },
    "Execution": {
        "costs": ["Execution/fees", "Execution/spread", "Execution/impact"],
        "turnover": [TURNOVER],
    },
    "Training": {
        "growth above cash, per year": [f"Training/{NET_GROWTH}"],
        "losses": ["Learner/.*loss.*"],
        "entropy": ["Learner/.*entropy.*", "Learner/.*ent_coef"],
        "speed": ["Learner/steps_per_second"],
    },
}


class Tracker:
    """Writes the event file of one folder; all values of a step go into one event. The only place
    that knows TensorBoard's formats.
    """

    def __init__(self, folder: Path) -> None:
        try:
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise RunError(
                f"the scripts write TensorBoard events ({error}); install them with: pip install"
                " 'fundenv[train]'"
            ) from None
        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(folder))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Scalars by tag at one step."""
        scalars = [
            self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()
        ]
        self._add(step, self._summary(value=scalars))

    def text(self, tag: str, markdown: str) -> None:
        """A card of text."""
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._add(0, text_pb(tag, markdown))

    def histogram(self, step: int, tag: str, values: Any) -> None:
        """A distribution at one step; nothing where there are no finite values."""
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        finite = np.asarray(values, np.float64)
        finite = finite[np.isfinite(finite)]
        if finite.size:
            self._add(step, histogram_pb(tag, finite))

    def image(self, step: int, tag: str, picture: NDArray[np.uint8]) -> None:
        """A picture (H, W, 3)."""
        from PIL import Image

        store = io.BytesIO()
        Image.fromarray(picture).save(store, "PNG")
        height, width = picture.shape[:2]
        image = self._summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=store.getvalue()
        )
        self._add(step, self._summary(value=[self._summary.Value(tag=tag, image=image)]))

    def layout(self) -> None:
        """The pages of custom scalars."""
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.plugins.custom_scalar import layout_pb2, metadata

        pages = [
            layout_pb2.Category(
                title=page,
                chart=[
                    layout_pb2.Chart(
                        title=title, multiline=layout_pb2.MultilineChartContent(tag=tags)
                    )
                    for title, tags in charts.items()
                ],
            )
            for page, charts in LAYOUT.items()
        ]
        text = TensorProto(
            dtype="DT_STRING", string_val=[layout_pb2.Layout(category=pages).SerializeToString()]
        )
        value = self._summary.Value(
            tag=metadata.CONFIG_SUMMARY_TAG,
            tensor=text,
            metadata=metadata.create_summary_metadata(),
        )
        self._add(0, self._summary(value=[value]))  # the plugin's own function wants TensorFlow

    def hparams_table(self, columns: Sequence[str], results: dict[str, str]) -> None:
        """The columns of the table of runs: settings, and tags of results with their headings."""
        from tensorboard.plugins.hparams import summary_v2

        self._add(
            0,
            summary_v2.hparams_config_pb(
                [summary_v2.HParam(key) for key in columns],
                [summary_v2.Metric(tag, display_name=name) for tag, name in results.items()],
            ),
        )

    def hparams(self, name: str, settings: dict[str, Any], results: dict[str, float]) -> None:
        """One line of the table of runs: settings of the agent and its final figures."""
        from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2, summary_v2

        plain = {
            key: value if isinstance(value, (bool, int, float, str)) else str(value)
            for key, value in settings.items()
        }
        self._add(0, summary_v2.hparams_pb(plain, trial_id=name))
        self.write(0, results)
        end = plugin_data_pb2.HParamsPluginData(
            session_end_info=plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS)
        )
        self._add(0, summary_v2._summary_pb("_hparams_/session_end_info", end))

    def _add(self, step: int, summary: Any) -> None:
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()


def write_rollouts(tracker: Tracker, rollouts: Sequence[Rollout]) -> None:
    """All scalars of an agent, at most 500 days, the last one always among them; where the symbols
    of the rollouts differ in length, until the shortest ends.
    """
    series = [_series(item) for item in rollouts]
    steps = min(len(item.time) for item in rollouts)
    hours = rollouts[0].step_hours
    stride = max(1, round(24 / hours))
    ends = list(range(stride - 1, steps, stride))
    kept = ends[:: -(-len(ends) // POINTS)] if ends else []
    for t in sorted({*kept, steps - 1}):
        means = {tag: float(np.mean([each[tag][t] for each in series])) for tag in series[0]}
        tracker.write(round((t + 1) * hours / 24), means)


def _series(item: Rollout) -> dict[str, NDArray[np.float64]]:
    """Values (T,) by tag."""
    shares = np.cumsum(metrics.log_contributions(item.equity, item.parts), axis=0)
    found = {
        EQUITY: np.exp(metrics.log_equity(item.equity))[1:],
        NET_GROWTH: item.net_log().to_numpy(),
        REWARD: np.cumsum(item.reward),
        TURNOVER: np.cumsum(item.turnover / item.equity[:-1]),
        LIQUIDATIONS: np.cumsum(item.liquidations),
    }
    found |= {tag: shares[:, i] for i, tag in enumerate(PART_TAGS.values())}
    return found | {STATE_TAGS[name]: item.state(name) for name in STATES}


class TrainingWindow:
    """Sums over a window of learning; `scalars` gives its yearly rates and means."""

    def __init__(self, batch: Any) -> None:
        from agents.base import observed
        from fundenv.dynamics import types

        self._columns = [observed(batch.observation_table, name) for name in STATES]
        self._types = types
        self.clear()

    def clear(self) -> None:
        """Begin a new window."""
        self._n = 0
        self._parts, self._state = np.zeros(len(PARTS)), np.zeros(len(STATES))
        self._reward = self._turnover = self._liquidations = 0.0

    def add(self, batch: Any) -> None:
        """Count the step that the batch has just made, in shares of the equity that episodes begin
        with, which is close enough for a curve.
        """
        t = self._types
        # one row for all environments, or a row for each
        start = batch.store.params[:, t.Params._fields.index("initial_equity")]
        self._n += 1
        self._parts += (batch.ledger[:, : t.N_PARTS] / start[:, None]).mean(axis=0)
        self._turnover += float((batch.trades[:, :, t.TURNOVER].sum(axis=1) / start).mean())
        self._liquidations += float(batch.store.legs[:, :, t.LIQUIDATED].sum(axis=1).mean())
        self._reward += float(batch.reward.mean())
        self._state += [float(column.of(batch.obs).mean()) for column in self._columns]

    def scalars(self, *, step_hours: float, cash_rate: float) -> dict[str, float]:
        """Tags and values of the window, each tag after `TRAINING`."""
        per_year = metrics.HOURS_PER_YEAR / step_hours / max(1, self._n)
        growth = float(self._parts.sum()) * per_year - cash_rate
        values = {NET_GROWTH: growth, REWARD: self._reward / max(1, self._n)}
        values |= dict(zip(PART_TAGS.values(), (self._parts * per_year).tolist(), strict=True))
        values |= {TURNOVER: self._turnover * per_year, LIQUIDATIONS: self._liquidations * per_year}
        states = (self._state / max(1, self._n)).tolist()
        values |= {STATE_TAGS[name]: mean for name, mean in zip(STATES, states, strict=True)}
        return {f"{TRAINING}{tag}": value for tag, value in values.items()}
