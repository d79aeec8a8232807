"""Checks that any market and any setting must pass. The tests and the benchmark run them, and users
can run them on their own data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fundenv.batch.action_sizes import grid_sizes
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.market import Market, layout

TOLERANCE = 1e-9  # relative to the largest equity of the step


class CheckError(AssertionError):
    """A law that does not hold; the message says which, where and by how much."""


def random_actions(batch: Batch, rng: np.random.Generator) -> Any:
    """Actions of every env of a batch, uniform in its space."""
    if batch.decisions is not None:
        return rng.integers(len(batch.decisions), size=batch.num_envs)
    sizes = grid_sizes(batch.config, batch.n_assets)
    if sizes is not None:
        return rng.integers(0, sizes, batch.actions.shape)
    low, high = (np.array(side, dtype=np.float32) for side in _limits(batch))
    return rng.uniform(low, high, batch.actions.shape).astype(np.float32)


def _limits(batch: Batch) -> tuple[list[float], list[float]]:
    config, assets = batch.config, batch.n_assets
    if config.actions == "target":
        keeper = batch.actions.shape[1] - 4 * assets  # one entry where it is free, else none
        return (
            [0.0, -1.0, 0.0, 1.0] * assets + [1.0] * keeper,
            [1.0, 1.0, 1.5, config.max_leverage] * assets + [100.0] * keeper,
        )
    return [-1.0] * batch.actions.shape[1], [1.0] * batch.actions.shape[1]


def account_equity(batch: Batch) -> t.Float64:
    """Equity (n,) [quote] from balances and prices alone: cash + sum(spot x price + margin + perp x
    (mark - entry) + |money on its way|).

    An inverse contract: spot price x (spot + margin + perp x (1 / entry - 1 / mark)).
    """
    legs, bars = batch.store.legs, batch.market.bars[batch.store.episode[:, t.ROW]]
    spot, mark = bars[:, :, layout.SPOT_CLOSE], bars[:, :, layout.MARK_CLOSE]
    perp, entry = legs[:, :, t.PERP], legs[:, :, t.ENTRY]
    inverse = batch.inverse
    # of an inverse contract coin, of a linear one quote
    start = np.where(perp != 0.0, entry, np.inf) if inverse.any() else entry
    profit = np.where(inverse, perp * (1.0 / start - 1.0 / mark), 0.0) if inverse.any() else 0.0
    profit = np.where(inverse, profit, perp * (mark - entry))
    own = legs[:, :, t.MARGIN] + profit
    held = legs[:, :, t.SPOT] * spot + np.where(inverse, own * spot, own)
    sent = np.abs(batch.store.displaced[:, :, t.SENT])
    equity: t.Float64 = batch.store.account[:, t.CASH] + (held + sent).sum(axis=1)
    return equity


def step_errors(batch: Batch, actions: Any) -> t.Float64:
    """Take a step, and say by how much the parts miss the change of equity, and the balances
    equity: (2, n), over the equity and the parts of each env; 0 where the step began a new episode.
    """
    before = batch.store.account[:, t.EQUITY].copy()
    running = batch.store.episode[:, t.MUST_RESET] == 0
    batch.step(actions)
    after, parts = batch.store.account[:, t.EQUITY], batch.ledger[:, : t.N_PARTS]
    scale = np.maximum(np.abs(before), np.abs(after)) + np.abs(parts).max(axis=1)
    missed = np.abs([before + parts.sum(axis=1) - after, account_equity(batch) - after])
    errors: t.Float64 = np.where(running, missed / scale, 0.0)
    return errors


def check_accounting(steps: int = 200, num_envs: int = 64, seed: int = 0, **settings: Any) -> float:
    """Random actions: the parts add up to the change of equity, and equity to the balances. Returns
    the worst relative error.

    `settings` as for `Batch`. Raises `CheckError` above `TOLERANCE`.
    """
    batch, rng, worst = Batch(num_envs, **settings), np.random.default_rng(seed), 0.0
    batch.reset(seed)
    for step in range(steps):
        parts, balances = step_errors(batch, random_actions(batch, rng))
        error = np.maximum(parts, balances)
        if error.max() > TOLERANCE:
            i = int(error.argmax())
            raise CheckError(
                f"environment {i}, step {step}: parts miss the change of equity by {parts[i]:.2e},"
                f" balances by {balances[i]:.2e} (relative)"
            )
        worst = max(worst, float(error.max()))
        batch.reset(mask=batch.terminated | batch.truncated)
    return worst


def check_causality(market: Market, steps: int = 30, seed: int = 0, **settings: Any) -> None:
    """Corrupt everything after a moment: no observation, reward or balance up to it may change.
    Raises `CheckError`.

    Every path is walked from its first row; the numbers after the last row stepped are replaced by
    noise.
    """
    settings = settings | {"random_start": False, "episode": None}
    honest = Batch(market.n_paths, market=market, **settings)
    honest.reset(seed)
    actions = [random_actions(honest, np.random.default_rng(seed + k)) for k in range(steps)]
    seen = [_walk(honest, action) for action in actions]
    corrupted = Batch(
        market.n_paths,
        market=_corrupt_after(market, honest.store.episode[:, t.ROW], seed),
        **settings,
    )
    corrupted.reset(seed)
    for step, (action, before) in enumerate(zip(actions, seen, strict=True)):
        for name, a, b in zip(
            ("observation", "reward", "account", "legs"),
            before,
            _walk(corrupted, action),
            strict=True,
        ):
            if not np.array_equal(a, b):
                path = int(np.argwhere(np.asarray(a != b))[0][0])
                raise CheckError(
                    f"path {path}, step {step}: the {name} depends on data after the end of the"
                    " step"
                )


def check_parity(
    threads: int = 2, steps: int = 100, num_envs: int = 16, seed: int = 0, **settings: Any
) -> None:
    """One environment, a serial batch and a threaded batch give the same bits. Raises
    `CheckError`.
    """
    serial, threaded = (
        Batch(num_envs, autoreset="same_step", threads=n, **settings) for n in (1, threads)
    )
    alone = Batch(1, autoreset="same_step", **settings)
    rng = np.random.default_rng(seed)
    for batch, first in ((serial, seed), (threaded, seed), (alone, seed + num_envs - 1)):
        batch.reset(first)
    # environment i then walks path i mod P
    paths_differ = not serial.config.random_start and serial.market.n_paths > 1
    for step in range(steps):
        action = random_actions(serial, rng)
        state = _walk(serial, action)
        if not all(
            np.array_equal(a, b) for a, b in zip(state, _walk(threaded, action), strict=True)
        ):
            raise CheckError(f"step {step}: serial and threaded batches differ")
        if not paths_differ and not all(
            np.array_equal(a[-1:], b) for a, b in zip(state, _walk(alone, action[-1:]), strict=True)
        ):
            raise CheckError(f"step {step}: a batch of {num_envs} and a single environment differ")


def _walk(batch: Batch, action: Any) -> tuple[Any, ...]:
    batch.step(action)
    return (
        batch.obs.copy(),
        batch.reward.copy(),
        batch.store.account.copy(),
        np.delete(batch.store.legs, t.SCRATCH, axis=2),
    )


def _corrupt_after(market: Market, rows: t.Int64, seed: int) -> Market:
    """The market with every number behind row rows[p] of path p multiplied by noise."""
    rng = np.random.default_rng(seed)
    bars, features = market.bars.copy(), market.features.copy()
    for (_, last), row in zip(market.paths, rows, strict=True):
        later = slice(int(row) + 1, int(last))
        bars[later] *= rng.uniform(0.5, 2.0, bars[later].shape)
        features[later] = rng.uniform(-1.0, 1.0, features[later].shape)
    return replace(market, bars=bars, features=features)
