"""The gate before compiled code: whatever a caller hands to a batch is checked here, once for every
face (single, vector, stable-baselines3, torch, CUDA).

Compiled code addresses memory directly, so a wrong shape would read or write foreign memory. What
is refused raises one line that names the thing, the value, what is expected, and leaves the batch
as it was. Nothing is reshaped, broadcast, rounded or filled in to make it fit.

Actions outside a Box are clipped to its limits, as Gymnasium's own environments and
stable-baselines3 do: a Gaussian policy draws beyond them all the time. An index outside a grid of
discrete choices is refused: no sampler draws one, so it means another action than was intended.
"""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from fundenv.market import Market

_FLOAT32 = np.dtype(np.float32)
FEW = 8  # entries of a discrete action that Python checks sooner than numpy
LARGEST = 2**62  # of a seed; environment i adds i
_CHECKED: WeakSet[Market] = WeakSet()  # markets are immutable: one look is enough


def shown(value: Any) -> str:
    """A value in a few words, for an error message."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, np.ndarray):
        value = value.item()
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"a {type(value).__name__} of shape {tuple(value.shape)} and type {value.dtype}"
    return " ".join(reprlib.repr(value).split())


def as_array(name: str, given: Any, kinds: str, expected: str) -> NDArray[Any]:
    """`given` as an array whose type is one of the `kinds` (`numpy.dtype.kind`). Raises
    `ValueError`, also for a masked array, whose hidden numbers nobody means.
    """
    if isinstance(given, np.ma.MaskedArray):
        raise ValueError(
            f"{name}: a masked array of shape {given.shape}; expected {expected}: fill it with"
            " .filled(value)"
        )
    try:
        array = np.asarray(given)
    except Exception as error:  # whatever the conversion of a foreign object raises
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{name} = {shown(given)}: expected {expected} ({reason})") from None
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name} = {shown(given)}: expected {expected}")
    return array


def _is_in_grid(index: float, size: float) -> bool:
    """Whether a number is one of 0 .. size - 1; NaN is not."""
    return 0.0 <= index < size and index.is_integer()


class Actions:
    """The gate of the actions of one batch: it copies what fits into `target` (n, W), float32.

    sizes: (W,) choices of each entry of a discrete action; decisions: (K, W) rows that the numbers
    of `indexed` actions (n,) name. None for actions of another kind.

    row: the action of environment 0. An array of the type `quick` may be copied into it without
    `take_one`, for it refuses another shape itself; None where only `take_one` may.
    """

    def __init__(
        self, target: t.Float32, sizes: Sequence[int] | None, decisions: t.Float32 | None
    ) -> None:
        self._target, self._row, self._decisions = target, target[0], decisions
        self._flat = target.ravel(order="K")  # a view: the order of memory
        self._sizes = None if sizes is None else np.array(sizes, dtype=np.float32)
        is_box = sizes is None and decisions is None
        self.quick = _FLOAT32 if is_box else None
        self._shapes = target.shape, self._row.shape
        self.row: Any = memoryview(self._row)  # read and written in a third of an array's time
        few = sizes is not None and len(sizes) <= FEW
        self._few = [float(size) for size in sizes] if few and sizes is not None else None

    def take(self, given: Any) -> None:
        """Actions of all environments. Raises `ValueError`; nothing is stepped then."""
        if self._decisions is not None:
            self._target[...] = self._rows(given, ((len(self._target),),))
            return
        if type(given) is not np.ndarray or given.dtype.kind not in "fiu":
            given = as_array("actions", given, "fiu", self._expected(0))
        if given.shape != self._shapes[0]:
            raise ValueError(f"actions = {shown(given)}: expected {self._expected(0)}")
        if given.dtype == np.float32:
            self._target[...] = given
        else:
            with np.errstate(over="ignore"):  # what leaves float32 is refused below
                self._target[...] = given
        self.check()

    def take_one(self, given: Any) -> None:
        """The action of the one environment of a batch; whether numbers of a Box are finite is left
        to `fundenv.batch.entry.Calls.step_first`. Raises `ValueError`.
        """
        if self._decisions is not None:
            self._target[...] = self._rows(given, ((), (1,)))
            return
        if type(given) is not np.ndarray or given.dtype.kind not in "fiu":
            given = as_array("action", given, "fiu", self._expected(1))
        if given.shape != self._shapes[1]:
            raise ValueError(f"action = {shown(given)}: expected {self._expected(1)}")
        self._row[...] = given
        if self._sizes is None:
            return
        # quicker than `check` for so few
        if self._few is None or not all(map(_is_in_grid, self.row, self._few)):
            self.check()

    def expects(self, given: Any) -> str:
        """The message that refuses actions of all environments by their shape or type."""
        return f"actions = {shown(given)}: expected {self._expected(0)}"

    def _rows(self, given: Any, shapes: tuple[tuple[int, ...], ...]) -> Any:
        decisions: Any = self._decisions
        numbers = as_array("actions", given, "iu", self._expected(0))
        if numbers.shape not in shapes:
            raise ValueError(f"actions = {shown(given)}: expected {self._expected(0)}")
        wrong = (numbers < 0) | (numbers >= len(decisions))
        if wrong.any():
            i = int(wrong.argmax())
            raise ValueError(
                f"action {numbers.reshape(-1)[i]} of environment {i}: expected {self._expected(0)};"
                " nothing was stepped"
            )
        return decisions[numbers]

    def check(self) -> None:
        """Refuse what stands in `target` where it is not finite or outside a grid. Raises
        `ValueError`.
        """
        least, most = np.minimum.reduce(self._flat), np.maximum.reduce(self._flat)
        if not (math.isfinite(least) and math.isfinite(most)):  # a NaN is both
            self._refuse(~np.isfinite(self._target), "is not a finite number")
        if self._sizes is not None:
            inside = (self._target >= 0) & (self._target < self._sizes)
            wrong = ~(inside & (self._target == np.floor(self._target)))
            if wrong.any():
                sizes = ", ".join(f"0 .. {int(size) - 1}" for size in self._sizes)
                self._refuse(wrong, f"is outside the grids; expected integers in {sizes}")

    def _expected(self, which: int) -> str:
        if self._decisions is not None:
            n = len(self._target)
            return (
                f"{n} whole number(s) within 0 .. {len(self._decisions) - 1}, one per environment"
            )
        numbers = "numbers" if self._sizes is None else "integers"
        rows = "" if which else ", a row for each environment"
        return f"{numbers} of shape {self._shapes[which]}{rows}"

    def _refuse(self, wrong: t.Bool, what: str) -> None:
        i = int(wrong.any(axis=1).argmax())
        raise ValueError(
            f"action {self._target[i].tolist()} of environment {i} {what}; nothing was stepped"
        )


def refuse_step() -> ResetNeeded:
    """The error of a step before the first reset."""
    return ResetNeeded("no episode has begun; call reset() before step()")


def read_count(name: str, value: Any) -> int:
    """A number of things, at least 1. Raises `ConfigError`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ConfigError(f"{name} = {shown(value)}: expected a whole number, at least 1")
    if value < 1:
        raise ConfigError(f"{name} = {value}: must be at least 1")
    return int(value)


def refuse_too_large(num_envs: int, size: int) -> None:
    """Raise `ConfigError` where the arrays (bytes) do not fit the memory of the machine: the system
    would promise it and end the process when it is used.
    """
    if not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise ConfigError(
            f"num_envs = {num_envs} needs {size / 2**30:,.0f} GiB, this machine has"
            f" {memory / 2**30:,.0f}; use fewer"
        )


def read_integers(name: str, given: Any, n: int) -> t.Int64:
    """One whole number for all n environments, or one for each, as (n,). Raises `ConfigError`."""
    expected = f"a whole number, or {n}, one for each environment"
    try:
        array = as_array(name, given, "iu", expected)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if array.shape not in ((), (n,)):
        raise ConfigError(f"{name} = {shown(given)}: expected {expected}")
    if array.size and array.max() > np.iinfo(np.int64).max:  # np.uint64 has more
        raise ConfigError(f"{name} = {shown(given)}: expected {expected}, below 2**63")
    return np.broadcast_to(array.astype(np.int64), (n,))


def read_seeds(seed: Any, n: int) -> t.Int64:
    """The seed (n,) of every environment: seed + i, or seed[i]. Raises `ConfigError`."""
    seeds = read_integers("seed", seed, n)
    if seeds.min() < 0 or seeds.max() > LARGEST:
        wrong = seeds[(seeds < 0) | (seeds > LARGEST)][0]
        raise ConfigError(f"seed = {wrong}: expected an integer from 0 to 2**62")
    return seeds + np.arange(n) if np.ndim(seed) == 0 else seeds


def read_mask(mask: Any, n: int, begun: bool) -> t.Bool:
    """Which of n environments a reset begins anew, (n,) bool; None: all. Raises `ConfigError`, also
    where the first reset of a batch leaves out an environment, which then never began.
    """
    if mask is None:
        return np.ones(n, dtype=np.bool_)
    expected = f"{n} values True or False, one for each environment"
    try:
        array = as_array("reset_mask", mask, "b", expected)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if array.shape != (n,):
        raise ConfigError(f"reset_mask = {shown(array)}: expected {expected}")
    if not begun and not array.all():
        raise ConfigError(
            f"reset_mask leaves out environment {int(array.argmin())}, which has not begun; reset"
            " all the first time"
        )
    return array


def read_per_env(name: str, values: Any, n: int, low: float, high: float) -> t.Float64:
    """One number for each of n environments, within low .. high, (n,). Raises `ConfigError`."""
    expected = f"{n} finite numbers, one per environment"
    try:
        array = as_array(f"per_env[{name!r}]", values, "fiu", expected)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if array.shape != (n,) or not np.isfinite(array).all():
        raise ConfigError(f"per_env[{name!r}] = {shown(array)}: expected {expected}")
    wrong = np.flatnonzero((array < low) | (array > high))
    if wrong.size:
        raise ConfigError(
            f"per_env[{name!r}] is {array[wrong[0]]:g} for environment {wrong[0]}, outside"
            f" {low:g} .. {high:g}; set it within"
        )
    return array.astype(np.float64)


def check_market(market: Any) -> None:
    """Raise `ConfigError` where the arrays of a market are not what compiled code addresses: their
    type, their order in memory, paths that leave them, or numbers that are not finite.
    """
    if not isinstance(market, Market):
        raise ConfigError(f"market = {shown(market)}: expected a fundenv.market.Market")
    if market in _CHECKED:
        return
    rows = len(market.bars)
    kinds = {"bars": np.float64, "features": np.float32, "paths": np.int64, "close_ns": np.int64}
    for name, kind in kinds.items():
        array = getattr(market, name)
        if array.dtype != kind or not array.flags.c_contiguous:
            raise ConfigError(
                f"market.{name} is {shown(array)}; expected {np.dtype(kind)} in C order: use"
                f" numpy.ascontiguousarray(..., {np.dtype(kind)})"
            )
    _refuse_market(market, market.paths.shape != (len(market.symbols), 2), "paths")
    _refuse_market(market, market.close_ns.shape != (rows,), "close_ns")
    first, last = market.paths.T
    if not len(first) or first.min() < 0 or last.max() > rows or (first >= last).any():
        raise ConfigError(
            f"market.paths = {shown(market.paths.tolist())} leave the {rows} bars; expected first"
            " row < end row <= bars"
        )
    for name in ("bars", "features"):
        wrong = ~np.isfinite(getattr(market, name)).all(axis=(1, 2))
        if wrong.any():
            raise ConfigError(
                f"market.{name} of row {int(wrong.argmax())} are not finite; leave the row out and"
                " split the path there"
            )
    _CHECKED.add(market)


def _refuse_market(market: Market, wrong: bool, name: str) -> None:
    if wrong:
        raise ConfigError(
            f"market.{name} is {shown(getattr(market, name))}, which does not fit"
            f" {len(market.symbols)} path(s) and {len(market.bars)} bars"
        )
