"""How often the tests of the comparison of forecasters reject where two forecasters are equally
good.

A rate is an autoregression of weight 0.9; its target is the mean of the next h rates. Two
forecasters give the expected value plus a disturbance. Both disturbances are autoregressions of
equal size, so neither forecaster is better. A test at 5 % should reject in 5 % of such comparisons,
and a confidence set at 90 % should drop one of the two in 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from experiments.core.cli import run
from experiments.core.run_folder import RunError
from fundenv.forecast import HORIZONS
from fundenv.forecast.scores import confidence_set, diebold_mariano, fixed_smoothing

Array = NDArray[np.float64]
WEIGHT = 0.9
LASTING = {"short": 0.5, "long": 0.95}  # weights of the disturbances: how long they last
_WARM = 300


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the study."""

    settlements: tuple[int, ...] = (365, 1095)
    """Settlements judged: four months and a year of 8 h."""
    draws: int = 400
    """Comparisons of each line."""
    sets: int = 0
    """Number of these comparisons that also compute the model confidence set (slow)."""


def main(args: Args) -> None:
    """Compute and show the table."""
    if not 0 <= args.sets <= args.draws or args.draws < 1:
        raise RunError(f"--draws {args.draws} --sets {args.sets}: give 0 <= sets <= draws")
    columns = ("settlements", "h", "disturbance", "HAC, Harvey", "fixed smoothing", "set drops one")
    shown = Table(*columns, title="equally good forecasters told apart, %")
    cases = [
        (n, h, name) for n in args.settlements for h in HORIZONS for name in LASTING if n > 3 * h
    ]
    for n, horizon, name in tqdm(cases):
        hac, fixed, dropped = rejections(n, horizon, LASTING[name], args.draws, args.sets)
        cells = [str(n), str(horizon), name, f"{hac:.1f}", f"{fixed:.1f}"]
        shown.add_row(*cells, f"{dropped:.0f}" if args.sets else "")
    Console().print(shown)


def rejections(
    n: int, horizon: int, lasting: float, draws: int, sets: int = 0
) -> tuple[float, float, float]:
    """Share of comparisons, %, in which each test rejects at 5 %, and the set drops one."""
    rng = np.random.default_rng([n, horizon, round(100 * lasting)])
    zero = np.zeros(n)
    told = np.zeros(3)
    for k in range(draws):
        first, second = equal_errors(rng, n, horizon, lasting)
        told[0] += diebold_mariano(zero, first, second, horizon).p_value < 0.05
        told[1] += fixed_smoothing(zero, first, second, horizon).p_value < 0.05
        if k < sets:
            losses = pd.DataFrame({"first": first**2, "second": second**2})
            told[2] += min(confidence_set(losses, horizon, seed=k).values()) < 0.10
    shares = 100.0 * told / np.array([draws, draws, max(sets, 1)])
    return float(shares[0]), float(shares[1]), float(shares[2])


def equal_errors(
    rng: np.random.Generator, n: int, horizon: int, lasting: float
) -> tuple[Array, Array]:
    """Errors (n,) of two equally good forecasters."""
    count = n + horizon + _WARM
    rate = _autoregression(rng, count, WEIGHT)
    total = np.r_[0.0, np.cumsum(rate)]
    target = (total[horizon + 1 :] - total[1 : count - horizon + 1]) / horizon
    share = WEIGHT * (1.0 - WEIGHT**horizon) / (1.0 - WEIGHT) / horizon
    error = target - share * rate[: len(target)]
    size = 0.5 * error.std() * np.sqrt(1.0 - lasting**2)
    own = [size * _autoregression(rng, len(error), lasting) for _ in range(2)]
    return (error - own[0])[_WARM : _WARM + n], (error - own[1])[_WARM : _WARM + n]


def _autoregression(rng: np.random.Generator, n: int, weight: float) -> Array:
    from scipy.signal import lfilter

    return np.asarray(lfilter([1.0], [1.0, -weight], rng.normal(size=n)), dtype=np.float64)


if __name__ == "__main__":
    run(Args, main, __doc__)
