"""One client: a process that reads its own data and answers with sums, never with rows."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.core.run_folder import RunError, write_frame
from experiments.federating.models import (
    OWN_INPUTS,
    Shared,
    har_means,
    har_sums,
    har_weights,
)
from experiments.federating.secure import Party
from experiments.federating.wire import receive, send
from fundenv.forecast import HORIZONS, Panel, panel_of
from fundenv.forecast.inputs import available
from fundenv.market import DataError, Market

Array = NDArray[np.float64]
TUNING_EPOCHS = 3  # at a tenth of the learning rate


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a client is told when it starts."""

    number: int
    name: str
    load: Callable[[], Market]
    fit_from: int | None  # ns; training begins there
    start: int  # ns; the test begins there
    end: int
    epochs: int  # of local training in a round
    seed: int
    out: Path


def run(task: Task, address: Any, key: bytes) -> None:
    """Connect to the server and answer until it says that all is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends its clients
    with Client(address, authkey=key) as connection:
        try:
            _Work(task, connection).go()
        except (DataError, RunError) as error:
            send(connection, "error", head=str(error))
        except (EOFError, BrokenPipeError):  # the server has gone
            return


class _Work:
    def __init__(self, task: Task, connection: Connection) -> None:
        self.task, self.connection = task, connection
        self.whole = panel_of(task.load())
        known = self.whole.until(task.start - 1)
        self.known = known if task.fit_from is None else known.since(task.fit_from)
        if not len(self.known):
            raise DataError(
                f"client {task.name}: too few settlements before the test; begin it later with"
                " --test START:END"
            )
        self.party = Party(task.number)
        self.found: dict[str, list[Array]] = {}  # name of a model -> forecasts
        self.shared: Shared | None = None

    def go(self) -> None:
        """Answer every message."""
        groups = [g for g in OWN_INPUTS if g in available(self.known)]
        head = {"number": self.task.number, "groups": groups}
        public = np.frombuffer(self.party.public, np.uint8)
        send(self.connection, "hello", head=head, public=public)
        while True:
            kind, head, arrays = receive(self.connection)
            if kind == "peers":
                self.party.meet({int(n): arrays[n].tobytes() for n in arrays})
            elif kind == "sum":
                values = self.contribution(head, arrays)
                message = self.party.mask(values, head["exchange"], head["among"])
                send(self.connection, "masked", message=message)
            elif kind == "result":
                self.keep(head["model"], arrays["weights"])
                send(self.connection, "kept")
            elif kind == "end":
                self.write()
                send(self.connection, "written")
                return

    def contribution(self, head: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Array:
        """What this client adds to one sum."""
        what = head["what"]
        if what == "har":
            return har_sums(self.known)
        if what == "moments":
            self.shared = Shared(head["model"], self.known, tuple(head["groups"]), self.task.seed)
            return self.shared.moments()
        shared = self.network()
        if what == "begin":
            shared.begin(arrays["moments"])
            return np.zeros(0)
        shared.load(arrays["weights"])
        shared.train(self.task.epochs, 1000 * self.task.seed + 10 * head["round"] + 1)
        return np.concatenate([[float(shared.n)], shared.n * shared.weights()])

    def network(self) -> Shared:
        """The network under way."""
        assert self.shared is not None
        return self.shared

    def keep(self, model: str, weights: Array) -> None:
        """Forecast with what was learned together, with that tuned on own data, and with what own
        data alone give.
        """
        if model == "har":
            self.found["har local"] = har_means(self.whole, har_weights(har_sums(self.known)))
            self.found["har federated"] = har_means(self.whole, weights)
            return
        shared = self.network()
        shared.load(weights)
        before = shared.error()
        self.found[f"{model} federated"] = shared.means(self.whole)
        shared.train(TUNING_EPOCHS, 1000 * self.task.seed + 7, slower=10.0)
        if shared.error() >= before:  # own data taught it nothing
            shared.load(weights)
        self.found[f"{model} tuned"] = shared.means(self.whole)
        alone = Shared(model, self.known, tuple(shared.made.inputs), self.task.seed)
        alone.begin(alone.moments())
        alone.train(alone_epochs(alone), self.task.seed)
        self.found[f"{model} local"] = alone.means(self.whole)

    def write(self) -> None:
        """Write the forecasts of the test beside the client's own data."""
        path = self.task.out / "forecasts" / f"{self.task.name}.parquet"
        write_frame(path, frame(self.whole, self.found, self.task))


def alone_epochs(shared: Shared) -> int:
    """Passes of a network that learns alone: the forecaster's own default."""
    return int(type(shared.made.params)().epochs)


def frame(whole: Panel, found: dict[str, list[Array]], task: Any) -> pd.DataFrame:
    """One row for each history, settlement of the test and horizon: target, last rate, and a column
    for each model, bp per 8 h.
    """
    parts = []
    for i, history in enumerate(whole):
        rows = (history.ns >= task.start) & (history.ns < task.end)
        target = history.targets()[rows]
        for j, horizon in enumerate(HORIZONS):
            part = pd.DataFrame(
                {
                    "client": task.name,
                    "symbol": history.symbol,
                    "time": pd.to_datetime(history.ns[rows], utc=True),
                    "horizon": horizon,
                    "target": target[:, j],
                    "last": history.rate[rows],
                }
            )
            for name, means in found.items():
                part[name] = means[i][rows, j]
            parts.append(part)
    return pd.concat(parts, ignore_index=True)
