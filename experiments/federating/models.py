"""What the clients learn together: what each contributes to a sum, and what the sum means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fundenv.forecast import HORIZONS, Panel, make
from fundenv.forecast.estimators.har import WINDOWS, ClippedHar
from fundenv.forecast.networks.base import Network

Array = NDArray[np.float64]
NETWORKS = ("nlinear", "lstm")
MODELS = ("har", *NETWORKS)
OWN_INPUTS = ("funding", "premium", "basis", "volatility", "returns", "volume")
_SIZE = 1 + len(WINDOWS)


def har_data(panel: Panel) -> tuple[Array, Array]:
    """Design (n, 5) with its constant, and targets (n, H), clipped, of all histories."""
    made = ClippedHar()
    x, y = zip(*(made._data(history) for history in panel), strict=True)
    stacked = np.concatenate(x)
    return np.column_stack([np.ones(len(stacked)), stacked]), np.concatenate(y)


def har_sums(panel: Panel) -> Array:
    """X'X and X'y of every horizon, over the rows whose target is known, as one vector: all that
    least squares needs to know of a client.
    """
    design, y = har_data(panel)
    parts = []
    for j in range(len(HORIZONS)):
        known = np.isfinite(y[:, j])
        x = design[known]
        parts += [(x.T @ x).ravel(), x.T @ y[known, j]]
    return np.concatenate(parts)


def har_weights(sums: Array) -> Array:
    """(H, 5) weights of least squares on all data together, from the sum over the clients."""
    blocks = sums.reshape(len(HORIZONS), _SIZE * _SIZE + _SIZE)
    return np.stack(
        [
            np.linalg.lstsq(block[:-_SIZE].reshape(_SIZE, _SIZE), block[-_SIZE:], rcond=None)[0]
            for block in blocks
        ]
    )


def har_means(panel: Panel, weights: Array) -> list[Array]:
    """(K, H) forecasts of every history, bp per 8 h."""
    return [har_data(Panel((history,)))[0] @ weights.T for history in panel]


class Shared:
    """A network whose weights travel as one vector.

    panel: the client's training span; its windows, inputs and targets never leave it.
    """

    def __init__(self, name: str, panel: Panel, groups: tuple[str, ...], seed: int) -> None:
        self.made: Any = make(name, inputs=groups, seed=seed)
        assert isinstance(self.made, Network)
        self.made.inputs = groups
        self.windows, self.x, self.y, self.late = self.made._data(panel)

    @property
    def n(self) -> int:
        """Windows to learn on."""
        return int((~self.late).sum())

    def moments(self) -> Array:
        """Count, sums and sums of squares of the inputs, that all clients scale alike."""
        found: Array = np.r_[len(self.x), self.x.sum(axis=0), (self.x**2).sum(axis=0)]
        return found

    def begin(self, moments: Array) -> None:
        """Take the scale of the inputs over all clients, and build the network: the same for every
        client of one seed.
        """
        count, (first, second) = moments[0], np.split(moments[1:], 2)
        self.made.centre = first / count
        variance = np.maximum(second / count - self.made.centre**2, 0.0)
        self.made.size = np.maximum(np.sqrt(variance), 1e-6)
        self.net = _built(self.made, self.x.shape[1])

    def weights(self) -> Array:
        """All weights as one vector."""
        return _flat(self.net)

    def load(self, vector: Array) -> None:
        """Take over the weights of a vector."""
        found, at = {}, 0
        for name, value in self.net.state_dict().items():
            part = vector[at : at + value.numel()].reshape(value.shape)
            found[name], at = torch.as_tensor(part, dtype=value.dtype), at + value.numel()
        self.net.load_state_dict(found)

    def train(self, epochs: int, seed: int, slower: float = 1.0) -> None:
        """Train on the client's own windows, from the present weights on, with the default learning
        rate divided by `slower`.
        """
        default = type(self.made.params)()
        self.made.params = replace(
            default, epochs=epochs, learning_rate=default.learning_rate / slower
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net.train()
            self.made._train(
                self.net, (self.windows, self.made._standard(self.x), self.y), self.late
            )

    def error(self) -> float:
        """Mean squared error on the piece of the training span that nothing is learned from."""
        self.net.eval()
        with torch.no_grad():
            window = torch.as_tensor(self.windows[self.late])
            found = self.net(
                window, torch.as_tensor(self.made._standard(self.x[self.late]))
            ).numpy()
        return float(np.nanmean((found - self.y[self.late]) ** 2))

    def means(self, panel: Panel) -> list[Array]:
        """(K, H) forecasts of every history, bp per 8 h."""
        self.made.members = [self.net.eval()]
        found: list[Array] = self.made.means(panel)
        return found


def initial_weights(name: str, inputs: int, seed: int) -> Array:
    """The weights, as one vector, that every client of one seed begins with."""
    return _flat(_built(make(name, seed=seed), inputs))


def _built(made: Any, inputs: int) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(made.seed)
        return made.build(inputs)


def _flat(net: Any) -> Array:
    return np.concatenate(
        [v.detach().numpy().ravel().astype(np.float64) for v in net.state_dict().values()]
    )
