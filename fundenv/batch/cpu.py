"""A batch of environments on the CPU: one compiled loop, on one thread or on chunks in several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fundenv.batch import gate
from fundenv.batch.action_sizes import action_entries, grid_sizes
from fundenv.batch.audit import audit
from fundenv.batch.entry import Calls
from fundenv.batch.host_arrays import host_arrays
from fundenv.batch.masks import choice_masks
from fundenv.batch.params import build_params
from fundenv.batch.refresh import joined
from fundenv.batch.saved_state import check_state
from fundenv.batch.setup import Setup
from fundenv.batch.starts import books_of, rows_of, seeds_of
from fundenv.batch.threads import Threads, chunks
from fundenv.batch.world import build_world
from fundenv.config import EnvConfig
from fundenv.dynamics import types as t
from fundenv.market import Market
from fundenv.market.layout import HALTED, TRADED

# Observations of a batch, all environments together: to copy fewer is quicker than to tell the
# compiled code another place.
WORTH_REDIRECTING = 2**15


class Batch(Setup):
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
        wait: bool = True,
        **settings: Any,
    ) -> None:
        """Build the arrays; `settings` are fields of `EnvConfig` (or pass a whole `config`),
        `per_env` gives one value per environment for fields of `fundenv.dynamics.types.Params`.
        `wait`: where nothing is compiled yet, wait for it, or step in plain Python meanwhile.
        Raises `ConfigError`, `VenueError` or `DataError` with one line that names the setting.
        """
        num_envs, threads = (
            gate.read_count(name, value)
            for name, value in (("num_envs", num_envs), ("threads", threads))
        )
        super().__init__(num_envs, market, symbols, autoreset, config, settings)
        self._gives_away, self._wait = False, wait
        self._allocate(build_params(self.config, self.rulebook, self.market, num_envs, per_env))
        # the caller takes the first chunk
        self._pool = Threads(threads - 1) if threads > 1 else None
        self.chunks = chunks(num_envs, threads)
        self._seeded = False

    @property
    def begun(self) -> bool:
        """Whether a reset has begun the first episodes."""
        return self._seeded

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

    @property
    def inverse(self) -> t.Bool:
        """Which assets (n, A) are inverse contracts."""
        rules = self.world.rules[self.world.symbols[self.store.episode[:, t.BOOK]]]
        found: t.Bool = rules[:, :, t.AssetRules._fields.index("inverse")] != 0.0
        return found

    @property
    def book(self) -> t.Int64:
        """Row (n,) of `world.symbols` of every environment: its coins, under the rules that were in
        force when its episode began.
        """
        return self.store.episode[:, t.BOOK].copy()

    def state(self) -> dict[str, Any]:
        """Copies of everything that the next steps depend on, and of which market and settings they
        are; `restore` puts them back into a batch built alike.
        """
        arrays = {name: array.copy() for name, array in self._held().items()}
        return arrays | {"of": self.facts(), "seeded": self._seeded}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where the batch that `state` was taken from stood, with the same numbers. Raises
        `ConfigError` for a state of another market, of other settings, or a damaged one.
        """
        check_state(state, self._held(), self.facts(), self.world)
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

    def _held(self) -> dict[str, Any]:
        return {
            "params": self.store.params,
            "block": self.block,
            "episode": self.store.episode,
            "displaced": self.store.displaced,
            "obs": self.out.obs,
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

    def use_compiled(self) -> None:
        """Step by compiled code from now on, and wait for it where it is not compiled yet."""
        for _, calls in self._faces:
            calls.use_compiled()

    def use_python(self) -> None:
        """Step in plain Python from now on, to the same bits."""
        for _, calls in self._faces:
            calls.use_python()

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

    def refresh(self, market: Market) -> None:
        """Let the episodes that begin from now on begin on `market`; those under way go on where
        they are.

        market: as many paths, of the same lengths, as the one before, in the same bars, features
        and venue. `path` of `reset` counts its paths. Raises `ConfigError` where it differs, or
        where an episode is still on the market that the last call replaced: two are kept, not more.
        """
        gate.check_market(market)
        both, left = joined(self.market, market, self.world, self.store.episode)
        open_paths = int(self.world.codes[t.OPEN_PATHS])
        world = build_world(both, self.config, self.rulebook, int(self.world.codes[t.AUTORESET]))
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
            self.store.displaced,
            self.store.episode[:, t.ROW],
        )

    @property
    def available(self) -> t.Bool:
        """(n, A): whether each asset traded in the bar that closed; not where it is halted, not
        listed yet or delisted.
        """
        traded: t.Bool = self.market.bars[self.store.episode[:, t.ROW], :, HALTED] <= TRADED
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
        own = host_arrays(n, assets, width, params)
        self.block, self.store, out = own.block, own.store, own.outs[0]
        self.final_obs, self.reward, self.terminated, self.truncated = (
            out.final_obs,
            out.reward,
            out.terminated,
            out.truncated,
        )
        self.ledger, self.trades, self.final_stats = out.ledger, out.trades, out.final
        self.actions = np.zeros((n, action_entries(self.config, assets)), dtype=np.float32)
        self.gate = gate.Actions(self.actions, grid_sizes(self.config, assets), self.decisions)
        self.store.episode[:, t.MUST_RESET] = 1  # until the first reset
        self._start_paths, self._start_rows = (
            np.full(n, -1, dtype=np.int64),
            np.full(n, -1, dtype=np.int64),
        )
        self._connect(own.outs)

    def _new_seeds(self, seed: Any) -> t.Int64 | None:
        """Seeds (n,) for the streams; None where they go on."""
        return seeds_of(seed, self.num_envs) if seed is not None or not self._seeded else None

    def _connect(self, outs: list[t.Out]) -> None:
        """The compiled calls on the arrays of the world, the store and both outputs."""
        starts = (self.actions, self._start_paths, self._start_rows)
        calls = [Calls(self.world, self.store, out, *starts, wait=self._wait) for out in outs]
        self._faces = list(zip(outs, calls, strict=True))
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
