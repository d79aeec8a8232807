"""A batch of environments on the CPU: one compiled loop, on one thread or on chunks in several."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fundenv import choices
from fundenv.batch import gate
from fundenv.batch.audit import audit
from fundenv.batch.decisions import decision_table
from fundenv.batch.entry import Calls
from fundenv.batch.masks import choice_masks
from fundenv.batch.own_reward import own_reward
from fundenv.batch.randomize import range_table
from fundenv.batch.starts import books_of, rows_of, seeds_of
from fundenv.batch.world import (
    action_entries,
    build_params,
    build_world,
    grid_sizes,
    load_rules,
    resolve_market,
)
from fundenv.compiler.memory import LANES, aligned
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types as t
from fundenv.dynamics.columns import Column
from fundenv.dynamics.more_columns import MORE_ACCOUNT_COLUMNS, MORE_LEG_COLUMNS
from fundenv.dynamics.observation import ACCOUNT_COLUMNS, LEG_COLUMNS
from fundenv.market import Market, path_range, stack
from fundenv.market.layout import HALTED, TRADED

# Observations of a batch, all environments together: to copy fewer is quicker than to tell the
# compiled code another place.
WORTH_REDIRECTING = 2**15
AUTORESET_MODES = choices.names(choices.Autoreset)
# settings that stand in `Store.params` under another name or are drawn from there anew
_IN_PARAMS = ("carry", "hedge", "leverage", "basis_half_life", "randomize")


class _Pool:
    """Threads that step the chunks of a batch beside the caller's own.

    A process that is forked has none of its parent's threads: the first step in it begins its own.
    """

    def __init__(self, count: int) -> None:
        self._count, self._process = count, 0
        self._threads: ThreadPoolExecutor | None = None

    def step(self, step: Callable[[int, int], None], chunks: Sequence[tuple[int, int]]) -> None:
        """Step all chunks; all are done on return, also where Ctrl-C interrupts the caller's."""
        if self._threads is None or self._process != os.getpid():
            self._threads, self._process = ThreadPoolExecutor(self._count), os.getpid()
        others = [self._threads.submit(step, *chunk) for chunk in chunks[1:]]
        try:
            step(*chunks[0])
        finally:
            for other in others:
                other.result()

    def close(self) -> None:
        """Stop the threads of this process."""
        if self._threads is not None and self._process == os.getpid():
            self._threads.shutdown()
        self._threads = None


class Batch:
    """n environments in plain arrays; what every adapter wraps.

    Arrays (n = num_envs, A = assets, D = observations): `obs` and `final_obs` (n, D) float32,
    `reward` (n,) float64, `terminated` and `truncated` (n,) bool, `ledger` (n, 10) and `trades` (n,
    A, 9) float64 with the columns of `fundenv.dynamics.types`, `store` the state. All are
    overwritten by the next step; `obs` alternates between two buffers, so the previous observation
    survives one step.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        autoreset: Literal["disabled", "next_step", "same_step"] = "disabled",
        threads: int = 1,
        per_env: Mapping[str, Any] | None = None,
        config: EnvConfig | None = None,
        **settings: Any,
    ) -> None:
        """Build the arrays; `settings` are fields of `EnvConfig` (or pass a whole `config`),
        `per_env` gives one value per environment for fields of `fundenv.dynamics.types.Params`.
        Raises `ConfigError`, `VenueError` or `DataError` with one line that names the setting.
        """
        num_envs, threads = (
            gate.read_count(name, value)
            for name, value in (("num_envs", num_envs), ("threads", threads))
        )
        if autoreset not in AUTORESET_MODES:
            raise ConfigError(
                f"autoreset = {autoreset!r} is not one of {', '.join(AUTORESET_MODES)}"
            )
        self.config = EnvConfig.resolve(config, settings)
        self.own_reward = own_reward(self.config.reward)
        self.num_envs = num_envs
        self.market = resolve_market(market, symbols, self.config.venue)
        gate.check_market(self.market)
        self.venue = load_rules(self.config)
        self.world = build_world(
            self.market, self.config, self.venue, AUTORESET_MODES.index(autoreset)
        )
        self.observation_table = observation_table(self.market, self.config.observe)
        self.decisions = decision_table(self.config, self.n_assets)
        self._gives_away = False
        self._allocate(build_params(self.config, self.venue, self.market, num_envs, per_env))
        # the caller takes the first chunk
        self._pool = _Pool(threads - 1) if threads > 1 else None
        # what does not fill the lanes of a chunk is stepped by the plain loop
        unit = LANES if num_envs >= LANES * threads else 1
        edges = unit * np.linspace(0, num_envs / unit, threads + 1).astype(int)
        edges[-1] = num_envs
        self.chunks = [
            (int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a
        ]
        self._seeded = False

    @property
    def begun(self) -> bool:
        """Whether a reset has begun the first episodes."""
        return self._seeded

    @property
    def n_assets(self) -> int:
        """Assets A of every environment."""
        return self.market.n_assets

    def give_away(self) -> None:
        """From now on every reset and every step writes the observations into an array of its own,
        which no later one touches: for whoever hands `obs` out for good. Who writes into the last
        one may find that in `state()` and, in rows that it leaves alone, in a reset with a mask.
        """
        self._gives_away = True

    @property
    def obs_buffers(self) -> tuple[t.Float32, ...]:
        """The two buffers (n, D) between which `obs` alternates."""
        return tuple(out.obs for out, _ in self._faces)

    @property
    def where(self) -> tuple[t.Int64, t.Int64]:
        """Path (n,) of every environment, and the row (n,) of the market at whose close it
        stands.
        """
        return self.store.episode[:, t.PATH].copy(), self.store.episode[:, t.ROW].copy()

    def state(self) -> dict[str, Any]:
        """Copies of everything that the next steps depend on, and of which market and settings they
        are; `restore` puts them back into a batch built alike.
        """
        arrays = {name: array.copy() for name, array in self._held().items()}
        return arrays | {"of": self._facts(), "seeded": self._seeded}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where the batch that `state` was taken from stood, with the same numbers. Raises
        `ConfigError` for a state of another market, of other settings, or a damaged one.
        """
        gate.check_state(state, self._held(), self._facts(), self.world)
        same = np.array_equal(self.store.params, state["params"])
        if self._redirects():
            self._show_in(self.obs.copy())
        for name, array in self._held().items():
            array[...] = state[name]
        self._seeded = bool(state["seeded"])
        if same:
            self._hand_out()
        else:  # the numbers of the environments say whether they can be stepped in vectors
            self._connect([out for out, _ in self._faces])

    def __getstate__(self) -> Any:
        """No copies and no pickles: the compiled calls of a copy would step the arrays of this
        batch. Raises `TypeError`.
        """
        raise TypeError(
            "an environment or batch cannot be copied or pickled; build another with the same"
            " settings, and hand on state() by restore()"
        )

    def _held(self) -> dict[str, Any]:
        return {
            "params": self.store.params,
            "block": self.block,
            "episode": self.store.episode,
            "obs": self.out.obs,
        }

    def _facts(self) -> dict[str, Any]:
        """What a state belongs to: the market by its hash, and every setting but those that stand
        in its `params` or are drawn anew.
        """
        codes = self.world.codes
        settings = {
            name: value
            for name, value in self.config.to_dict().items()
            if name not in _IN_PARAMS and name not in t.Params._fields
        }
        return {"market": self.market.hash, "autoreset": int(codes[t.AUTORESET])} | {
            "first_path": int(codes[t.FIRST_PATH]),
            **settings,
        }

    def reset(
        self,
        seed: int | Sequence[int] | None = None,
        paths: Any = None,
        starts: Any = None,
        mask: Any = None,
    ) -> t.Float32:
        """Begin new episodes and return the observations (n, D).

        seed: environment i gets seed + i, or seed[i]; None keeps the streams (fresh entropy the
        first time). paths: path of each environment; starts: row within the path at whose close the
        episode begins (drawn or first where not given). mask: (n,) bool, only these environments,
        seeds included. Raises `ConfigError`; nothing has changed then.
        """
        begun = gate.read_mask(mask, self.num_envs, self._seeded)
        seeds = self._new_seeds(seed)
        self._start_paths[:], self._start_rows[:] = rows_of(
            self.world, self.num_envs, paths, starts
        )
        if seeds is not None:
            self.store.episode[begun, t.SEED] = seeds[begun]
            self.store.episode[begun, t.EPISODE] = 0
            self._seeded = True
        if self._redirects():
            self._show_in(self.obs.copy())
        if begun.all():
            self.calls.reset(0, self.num_envs)
        else:
            for i in np.flatnonzero(begun).tolist():
                self.calls.reset(i, i + 1)
        self._hand_out()
        return self.obs

    def step(self, actions: Any) -> None:
        """Step every environment by one decision; `actions` (n, A x entries per asset) in the
        action space of the config. The results stand in the arrays.

        Numbers beyond a Box are clipped to its limits. Raises `ValueError` for actions of another
        shape or type, that are not finite or that no grid has, and `ResetNeeded` before the first
        reset; nothing was stepped then.
        """
        self.gate.take(actions)
        self.advance()

    @property
    def fits_vectors(self) -> bool:
        """Whether the vector form steps these environments, once it is compiled."""
        return self.calls.fits_vectors

    def use_vectors(self) -> None:
        """Compile the vector form now and step by it, to the same bits, also where only a part of
        the steps fits it.
        """
        for _, calls in self._faces:
            calls.use_vectors()

    def advance(self, stream: int = 0) -> None:
        """Step with the actions that stand in `actions` (n, A x entries per asset), unchecked;
        `stream` is for a batch on a GPU. Raises `ResetNeeded` before the first reset.
        """
        if not self._seeded:
            raise gate.refuse_step()
        self._faces.reverse()
        self.out, self.calls = self._faces[0]
        if self._redirects():
            self._show_in(np.empty_like(self.final_obs))
        if self.calls.steps_to_lanes:
            self.calls.count(self.num_envs)
        before = self.own_reward.look(self) if self.own_reward else None
        if self._pool is None:
            self.calls.step(*self.chunks[0])
        else:
            self._pool.step(self.calls.step, self.chunks)
        if self.own_reward and before:
            self.own_reward.write(self, before)
        self._hand_out()

    def randomize(self, ranges: Mapping[str, Sequence[Any]]) -> None:
        """Draw the numbers of the episodes that begin from now on from other ranges: the steps of a
        curriculum.

        ranges: as `EnvConfig.randomize`, for the same fields as before (low = high pins one).
        Raises `ConfigError`.
        """
        config = replace(self.config, randomize=ranges)
        now, then = ({name for name, *_ in c.randomize} for c in (config, self.config))
        if now != then:
            known = ", ".join(sorted(then)) or "none; build it with randomize={...}"
            raise ConfigError(
                f"randomize: {sorted(now ^ then)[0]!r} does not match the fields that this batch"
                f" draws ({known}); give exactly these"
            )
        self.world.ranges[:] = range_table(config)
        self.config = config

    def refresh(self, market: Market) -> None:
        """Let the episodes that begin from now on begin on `market`; those under way go on where
        they are.

        market: as many paths, of the same lengths, as the one before, in the same bars, features
        and venue. `path` of `reset` counts its paths. Raises `ConfigError` where it differs, or
        where an episode is still on the market that the last call replaced: two are kept, not more.
        """
        gate.check_market(market)
        open_paths, first = int(self.world.codes[t.OPEN_PATHS]), int(self.world.codes[t.FIRST_PATH])
        current = path_range(self.market, first, first + open_paths)
        if not np.array_equal(current.paths, market.paths):
            shapes = " and ".join(
                f"{m.n_paths} path(s) of {len(m.bars)} bars in all" for m in (current, market)
            )
            raise ConfigError(
                f"refresh: the markets have {shapes}; give as many paths of the same lengths"
            )
        # where the paths of the new market stand: 0 or as many as are open
        left = (first + open_paths) % (2 * open_paths)
        path = self.store.episode[:, t.PATH]
        busy = (
            (path >= left) & (path < left + open_paths) & (self.store.episode[:, t.MUST_RESET] == 0)
        )
        if self.market.n_paths > open_paths and busy.any():
            raise ConfigError(
                f"refresh: {busy.sum()} episode(s) are still on the market before the last one;"
                " refresh less often than an episode lasts"
            )
        both = stack([market, current] if left == 0 else [current, market])
        world = build_world(both, self.config, self.venue, int(self.world.codes[t.AUTORESET]))
        self.store.episode[:, t.BOOK] = books_of(world, self.store.episode)
        self.market, self.world = both, world
        self.world.codes[t.FIRST_PATH], self.world.codes[t.OPEN_PATHS] = left, open_paths
        self._connect([out for out, _ in self._faces])

    def audit(self) -> dict[str, Any]:
        """What an auditor needs to replay the last step from outside: see `fundenv.batch.audit`."""
        return audit(
            self.market,
            self.store.account,
            self.store.legs,
            self.out.ledger,
            self.out.trades,
            self.store.episode[:, t.ROW],
        )

    @property
    def available(self) -> t.Bool:
        """(n, A): whether each asset traded in the bar that closed; not where it is halted, not
        listed yet or delisted.
        """
        traded: t.Bool = self.market.bars[self.store.episode[:, t.ROW], :, HALTED] == TRADED
        return traded

    def action_masks(self) -> t.Bool:
        """(n, K): the choices of a counted action that are open, see `fundenv.batch.masks`. Raises
        `ConfigError` for other actions.
        """
        return choice_masks(self.config, self.available, self.decisions)

    def close(self) -> None:
        """Stop the threads; a later step begins new ones."""
        if self._pool is not None:
            self._pool.close()

    def _allocate(self, params: t.Float64) -> None:
        n, assets, width = self.num_envs, self.n_assets, len(self.observation_table)
        gate.refuse_too_large(n, n * self._bytes_per_env())
        shapes = ((n, t.N_ACCOUNT), (n, assets, t.N_LEG), (n, t.N_LEDGER), (n, assets, t.N_TRADE))
        sizes = [int(np.prod(shape)) for shape in shapes]
        # account, legs, ledger and trades in one piece: a single environment copies it for its info
        self.block = aligned(sum(sizes))
        account, legs, ledger, trades = (
            piece.reshape(shape)
            for piece, shape in zip(
                np.split(self.block, np.cumsum(sizes)[:-1]), shapes, strict=True
            )
        )
        self.store = t.Store(
            params, account, legs, aligned(n * t.N_EPISODE, np.int64).reshape(n, t.N_EPISODE)
        )
        self.reward, self.terminated, self.truncated = (
            np.zeros(n),
            np.zeros(n, dtype=bool),
            np.zeros(n, dtype=bool),
        )
        self.ledger, self.trades, self.final_stats = ledger, trades, np.zeros((n, 3))
        self.final_obs = np.zeros((n, width), dtype=np.float32)
        self.actions = np.zeros((n, action_entries(self.config, assets)), dtype=np.float32)
        self.gate = gate.Actions(self.actions, grid_sizes(self.config, assets), self.decisions)
        self.store.episode[:, t.MUST_RESET] = 1  # until the first reset
        self._start_paths, self._start_rows = (
            np.full(n, -1, dtype=np.int64),
            np.full(n, -1, dtype=np.int64),
        )
        shared = (
            self.final_obs,
            self.reward,
            self.terminated,
            self.truncated,
            ledger,
            trades,
            self.final_stats,
        )
        outs = [t.Out(aligned(n * width, np.float32).reshape(n, width), *shared) for _ in range(2)]
        self._connect(outs)

    def _bytes_per_env(self) -> int:
        numbers = t.N_ACCOUNT + t.N_EPISODE + t.N_LEDGER + self.n_assets * (t.N_LEG + t.N_TRADE)
        return 8 * numbers + 3 * 4 * len(self.observation_table)

    def _new_seeds(self, seed: Any) -> t.Int64 | None:
        """Seeds (n,) for the streams; None where they go on."""
        return seeds_of(seed, self.num_envs) if seed is not None or not self._seeded else None

    def _connect(self, outs: list[t.Out]) -> None:
        """The compiled calls on the arrays of the world, the store and both outputs."""
        starts = (self.actions, self._start_paths, self._start_rows)
        self._faces = [(out, Calls(self.world, self.store, out, *starts)) for out in outs]
        self.out, self.calls = self._faces[0]
        self._hand_out()

    def _show_in(self, obs: t.Float32) -> None:
        """Let `obs` take the place of the buffer that the present calls write."""
        self.calls.show_in(obs)
        self.out = t.Out(obs, *self.out[1:])
        self._faces[0] = self.out, self.calls

    def _redirects(self) -> bool:
        return self._gives_away and self.final_obs.size >= WORTH_REDIRECTING

    def _hand_out(self) -> None:
        self.obs = (
            self.out.obs.copy() if self._gives_away and not self._redirects() else self.out.obs
        )


def observation_table(market: Market, observe: Sequence[str] = ()) -> tuple[Column, ...]:
    """The D observations in order: per asset the market features and the state of its legs, then
    the account; behind them what `EnvConfig.observe` asks for, in the same order.

    With several assets the names carry the asset's number, as in "1:carry".
    """

    def repeated(columns: Sequence[Column]) -> list[Column]:
        if market.n_assets == 1:
            return list(columns)
        return [c._replace(name=f"{a}:{c.name}") for a in range(market.n_assets) for c in columns]

    per_asset = [Column(*feature) for feature in market.table] + list(LEG_COLUMNS)
    return (
        *repeated(per_asset),
        *ACCOUNT_COLUMNS,
        *repeated([c for c in MORE_LEG_COLUMNS if c.name in observe]),
        *(c for c in MORE_ACCOUNT_COLUMNS if c.name in observe),
    )
