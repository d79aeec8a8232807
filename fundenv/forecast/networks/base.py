"""The base of the networks: windows of scaled rates, pooled over coins; early stopping on a later
piece of the training span; the forecast is the mean of several seeds.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fundenv.forecast.attribution import Parts
from fundenv.forecast.base import HORIZONS, Forecaster, ForecasterSettings
from fundenv.forecast.errors import ForecastError
from fundenv.forecast.estimators.har import ClippedHar
from fundenv.forecast.estimators.ridge import USED, in_scale, scaled_targets, unscaled
from fundenv.forecast.history import Array, Panel
from fundenv.forecast.inputs import matrices, owners
from fundenv.forecast.networks.coins import WithCoin, one_hot
from fundenv.settings import Range

Floats = NDArray[np.float32]
WINDOW = 63  # settlements of a window, three weeks
_LIMIT = 8.0  # scaled rates are clipped to +- this
_SHARE = 0.15  # the last part of the span, on which the validation error is measured


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(ForecasterSettings):
    """Parameters of a network and of its training."""

    units: Annotated[int, Range(1, 1024)] = 32
    """Width of the hidden layers."""
    members: Annotated[int, Range(1, 50)] = 1
    """Number of networks, from different seeds, whose forecasts are averaged."""
    epochs: Annotated[int, Range(1, 1000)] = 10
    """Largest number of passes over the training span."""
    patience: Annotated[int, Range(1, 1000)] = 3
    """Passes without a smaller validation error after which the training stops."""
    learning_rate: Annotated[float, Range(1e-6, 1)] = 2e-3
    """Learning rate of AdamW."""
    decay: Annotated[float, Range(0, 10)] = 0.01
    """Weight decay of AdamW."""
    embedding: Annotated[int, Range(0, 64)] = 0
    """Size of the embedding that is learned for each coin; 0: coins share all weights."""
    residual: bool = False
    """Learn the errors of clipped HAR, and add its forecast."""
    batch: Annotated[int, Range(1, 100_000)] = 512
    """Number of windows of one gradient step."""
    device: str = "cpu"
    """Device of torch: cpu, cuda or cuda:1."""


class Network(Forecaster):
    """Base of the networks.

    A network reads a window of the coin's own rates, less the slow mean at the origin and divided
    by the scale there, and the inputs of the other groups; it returns scaled forecasts (n, H).
    """

    parameters: ClassVar[type[ForecasterSettings]] = NetworkSettings
    groups: ClassVar[tuple[str, ...]] = USED
    coins: tuple[str, ...] = ()  # those that have an embedding
    draws: ClassVar[bool] = True

    @abstractmethod
    def build(self, inputs: int) -> nn.Module:
        """A network from (n, WINDOW) and (n, inputs) to (n, H)."""

    def learn(self, panel: Panel) -> None:
        """Train every member until the validation error no longer falls."""
        coins = sorted({history.symbol for history in panel}) if self.params.embedding else ()
        self.coins = tuple(coins)
        if self.params.residual:
            self.har = ClippedHar()
            self.har.learn(panel)
        windows, x, y, late = self._data(panel)
        own = x[:, : x.shape[1] - len(self.coins)]
        self.centre, self.size = own.mean(axis=0), np.maximum(own.std(axis=0), 1e-6)
        self.members = []
        with _quiet(self.seed):
            for member in range(self.params.members):
                torch.manual_seed(self.seed * 1000 + member)
                net = self._built(len(self.centre))
                self._train(net, (windows, self._standard(x), y), late)
                self.members.append(net.eval())

    def _built(self, inputs: int) -> nn.Module:
        size = self.params.embedding
        net = self.build(inputs + size)
        return (WithCoin(net, len(self.coins), size) if size else net).to(self._device())

    def _inputs(self, panel: Panel) -> list[Array]:
        """(K, F + C) inputs of every history, the last C of them the coin as `one_hot`."""
        return [
            np.column_stack([x, one_hot(history.symbol, self.coins, len(x))]) if self.coins else x
            for history, x in zip(panel, matrices(panel, self.inputs)[1], strict=True)
        ]

    def _data(self, panel: Panel) -> tuple[Any, Array, Array, NDArray[np.bool_]]:
        """Windows, inputs and targets of all coins, and which rows belong to the validation piece.
        Rows before it whose targets reach into it are left out.
        """
        last = max(int(history.ns[-1]) for history in panel)
        first = min(int(history.ns[0]) for history in panel)
        border = last - int(_SHARE * (last - first))
        parts: list[Any] = []
        for history, window, x, y in zip(
            panel,
            self._windows(panel),
            self._inputs(panel),
            self._targets(panel),
            strict=True,
        ):
            reach = np.searchsorted(history.ns, border) - max(HORIZONS)
            row = np.arange(len(history))
            late = history.ns >= border
            kept = ((row < reach) | late) & (row >= WINDOW) & np.isfinite(y[:, 0])
            parts.append((window[kept], x[kept], y[kept], late[kept]))
        windows, x, y, late = (np.concatenate(column) for column in zip(*parts, strict=True))
        if late.sum() < 100 or (~late).sum() < 300:
            raise ForecastError(
                f"forecaster {self.name}: {int((~late).sum())} windows to learn on and"
                f" {int(late.sum())} to stop at; at least 300 and 100; give a longer span"
            )
        return windows, x, y, late

    def _targets(self, panel: Panel) -> list[Array]:
        targets = scaled_targets(panel)
        if not self.params.residual:
            return targets
        start = in_scale(panel, self.har.means(panel))
        return [each - first for each, first in zip(targets, start, strict=True)]

    def _windows(self, panel: Panel) -> list[Floats]:
        found = []
        for history in panel:
            mean, size = history.scale
            padded = np.r_[np.full(WINDOW - 1, history.rate[0]), history.rate]
            window = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
            scaled = (window - mean[:, None]) / size[:, None]
            found.append(np.clip(scaled, -_LIMIT, _LIMIT).astype(np.float32))
        return found

    def _standard(self, x: Array) -> Floats:
        own, coin = x[:, : len(self.centre)], x[:, len(self.centre) :]
        scaled = np.clip((own - self.centre) / self.size, -_LIMIT, _LIMIT)
        found: Floats = np.column_stack([scaled, coin]).astype(np.float32)
        return found

    def _device(self) -> torch.device:
        try:
            return torch.zeros(1, device=self.params.device).device
        except (RuntimeError, AssertionError) as error:
            raise ForecastError(
                f"forecaster {self.name}: device {self.params.device!r} does not work"
                f" ({str(error).splitlines()[0]}); give cpu"
            ) from None

    def _train(self, net: nn.Module, data: tuple[Any, Any, Array], late: NDArray[np.bool_]) -> None:
        p, device = self.params, self._device()
        known = torch.as_tensor(np.isfinite(data[2]), device=device)
        tensors = [torch.as_tensor(np.nan_to_num(a), dtype=torch.float32) for a in data]
        window, x, y = (tensor.to(device) for tensor in tensors)
        learn = torch.as_tensor(np.flatnonzero(~late), device=device)
        judge = torch.as_tensor(np.flatnonzero(late), device=device)
        optimiser = torch.optim.AdamW(net.parameters(), lr=p.learning_rate, weight_decay=p.decay)
        best, left, kept = np.inf, p.patience, copy.deepcopy(net.state_dict())
        for _ in range(p.epochs):
            net.train()
            for rows in learn[torch.randperm(len(learn), device=device)].split(p.batch):  # type: ignore[no-untyped-call]
                optimiser.zero_grad()
                _loss(net(window[rows], x[rows]), y[rows], known[rows]).backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
            net.eval()
            with torch.no_grad():
                ahead = torch.cat([net(window[rows], x[rows]) for rows in judge.split(4096)])  # type: ignore[no-untyped-call]
                error = float(_loss(ahead, y[judge], known[judge]))
            if error < best:
                best, left, kept = error, p.patience, copy.deepcopy(net.state_dict())
            else:
                left -= 1
                if left == 0:
                    break
        net.load_state_dict(kept)

    def means(self, panel: Panel) -> list[Array]:
        """Forecasts (K, H), the mean over the members."""
        scaled = []
        device = self._device()
        with _quiet(self.seed), torch.no_grad():
            for window, x in zip(self._windows(panel), self._inputs(panel), strict=True):
                a = torch.as_tensor(window, device=device)
                b = torch.as_tensor(self._standard(x), device=device)
                each = [
                    torch.cat([net(a[i : i + 4096], b[i : i + 4096]) for i in _steps(len(a))])
                    for net in self.members
                ]
                scaled.append(torch.stack(each).mean(dim=0).cpu().numpy().astype(np.float64))
        if self.params.residual:
            start = in_scale(panel, self.har.means(panel))
            scaled = [each + first for each, first in zip(scaled, start, strict=True)]
        return unscaled(panel, scaled)

    def explain(self, panel: Panel, since: int) -> list[Parts]:
        """Integrated gradients from a window at the slow mean, and inputs at their means."""
        from fundenv.forecast.networks.gradients import integrated

        keys = list(zip(owners(panel, self.inputs), matrices(panel, self.inputs)[0], strict=True))
        keys += [("coin", coin) for coin in self.coins]
        found = []
        with _quiet(self.seed):
            for history, window, x in zip(
                panel, self._windows(panel), self._inputs(panel), strict=True
            ):
                rows = history.ns >= since
                a = torch.as_tensor(window[rows], device=self._device())
                b = torch.as_tensor(self._standard(x[rows]), device=self._device())
                mean, size = (each[rows, None] for each in history.scale)
                base, values = integrated(self.members, a, b, keys)
                scaled = {key: size * value for key, value in values.items()}
                start = Parts(mean, {})
                if self.params.residual:
                    (start,) = self.har.explain(Panel((history,)), since)
                found.append(Parts(start.base + size * base, start.values | scaled))
        return found

    def state(self) -> dict[str, NDArray[Any]]:
        """The weights of every member, and the means and sizes that standardise the inputs."""
        found: dict[str, NDArray[Any]] = {"centre": self.centre, "size": self.size}
        found["coins"] = np.array(",".join(self.coins))
        for i, net in enumerate(self.members):
            for name, value in net.state_dict().items():
                found[f"net{i}/{name}"] = value.cpu().numpy()
        return found | (self.har.state() if self.params.residual else {})

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Take them back."""
        self.centre, self.size = state["centre"], state["size"]
        self.coins = tuple(filter(None, str(state["coins"]).split(",")))
        if self.params.residual:
            self.har = ClippedHar()
            self.har.restore(state)
        self.members = []
        for i in range(self.params.members):
            start = f"net{i}/"
            weights = {
                name.removeprefix(start): torch.as_tensor(value)
                for name, value in state.items()
                if name.startswith(start)
            }
            net = self._built(len(self.centre))
            net.load_state_dict(weights)
            self.members.append(net.eval())


def _steps(n: int) -> range:
    return range(0, n, 4096)


def _loss(ahead: torch.Tensor, y: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean squared error where the target is known."""
    return torch.where(known, (ahead - y) ** 2, 0.0).sum() / known.sum().clamp(min=1)


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Draw random numbers of the training from the forecaster's seed, and leave the user's random
    state as it was. Uses one thread: more make networks of this size no faster, and slower on a
    busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
