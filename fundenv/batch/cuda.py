"""A batch of environments on an NVIDIA GPU: the scalar rules of the CPU in one kernel, one thread
an environment.

numba-cuda compiles the Python functions behind the rules again for the device, so no rule is
written twice. Every array of n environments has the environment as its fastest axis: the threads of
a warp then read neighbours. Products and sums are not contracted to fused ones, so that the device
rounds as the CPU does; only the logarithm of the highest leverage, that of a jump of the equity and
what is drawn on a log scale come from another library, and may differ in the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numba import cuda

from fundenv.batch import gate
from fundenv.batch.action_sizes import action_entries, grid_sizes
from fundenv.batch.audit import audit
from fundenv.batch.cpu import Batch
from fundenv.batch.cuda_kernels import arguments, arrays, dispatcher, exact_arithmetic, simulated
from fundenv.batch.saved_state import check_state
from fundenv.batch.starts import rows_of
from fundenv.config import ConfigError, EnvConfig
from fundenv.dynamics import types as t
from fundenv.market import Market

BLOCK = 128  # threads of a block


class CudaBatch(Batch):
    """`Batch` on a GPU: the same arguments, the same starts for the same seed, the same columns;
    every array is a numba device array.

    `step` takes actions from the host or the device; `advance(stream)` steps with what stands in
    `actions` and returns at once. `device` is the number of the GPU. `block` (threads) and
    `max_registers` (None: as many as the compiler likes) tune the kernel, not its numbers.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        device: int = 0,
        block: int = BLOCK,
        max_registers: int | None = None,
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        autoreset: Literal["disabled", "next_step", "same_step"] = "disabled",
        per_env: Mapping[str, Any] | None = None,
        config: EnvConfig | None = None,
        **settings: Any,
    ) -> None:
        """See the class docstring; raises `ConfigError` also where no CUDA device can be used."""
        if not simulated() and not cuda.is_available():
            raise ConfigError(
                f"device = {device}: no CUDA device can be used here ({_reason()}); use the CPU"
                " batch"
            )
        self.device, self._block, self._max_registers = device, block, max_registers
        super().__init__(
            num_envs,
            market=market,
            symbols=symbols,
            autoreset=autoreset,
            per_env=per_env,
            config=config,
            **settings,
        )
        if self.own_reward:
            raise ConfigError(
                f"reward = {self.config.reward!r} runs in Python, a GPU does not; use the CPU"
                " batch or a reward of the env"
            )

    def reset(
        self,
        seed: int | Sequence[int] | None = None,
        paths: Any = None,
        starts: Any = None,
        mask: Any = None,
    ) -> Any:
        """As `Batch.reset`; returns the observations (n, D) on the device."""
        n, own = self.num_envs, self._own
        begun = gate.read_mask(mask, n, self._seeded)
        seeds, where = self._new_seeds(seed), rows_of(self.world, n, paths, starts)
        with cuda.gpus[self.device]:
            if seeds is not None:
                episode = own.store.episode.copy_to_host()
                episode[begun, t.SEED], episode[begun, t.EPISODE] = seeds[begun], 0
                own.store.episode.copy_to_device(episode)
                self._seeded = True
            for target, values in zip(
                (own.paths, own.rows, own.mask), (*where, begun), strict=True
            ):
                target.copy_to_device(values)
            self._launch("reset", 0)
        return self.obs

    def step(self, actions: Any) -> None:
        """As `Batch.step`; actions that lie on the device go to `advance`, which does not look at
        them.
        """
        self.gate.take(actions)
        with cuda.gpus[self.device]:
            self._own.actions.copy_to_device(self._wished)
        self.advance()

    def advance(self, stream: int = 0) -> None:
        """Step with the actions that stand in `actions`, on a CUDA stream given by its handle;
        nothing is waited for. Raises `ResetNeeded` before the first reset.
        """
        if not self._seeded:
            raise gate.refuse_step()
        self._front: int = 1 - self._front
        self.out = self._own.outs[self._front]
        self.obs = self.out.obs
        with cuda.gpus[self.device]:
            self._launch("step", stream)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Around steps that a CUDA graph records and does not do: afterwards `obs` is what it was.
        Raises `RuntimeError` for an odd number of steps, whose replay would read what it writes.
        """
        before = self._front
        try:
            yield
        finally:
            odd, self._front = self._front != before, before
            self.out = self._own.outs[before]
            self.obs = self.out.obs
        if odd:
            raise RuntimeError("the number of recorded steps is odd; record an even number")

    def audit(self) -> dict[str, Any]:
        """As `Batch.audit`, copied to the host."""
        store, out = self._own.store, self._own.outs[self._front]
        account, legs, ledger, trades, displaced, episode = (
            array.copy_to_host()
            for array in (
                *(store.account, store.legs, out.ledger, out.trades),
                *(store.displaced, store.episode),
            )
        )
        return audit(self.market, account, legs, ledger, trades, displaced, episode[:, t.ROW])

    @property
    def where(self) -> tuple[t.Int64, t.Int64]:
        """As `Batch.where`, copied to the host."""
        episode = self._own.store.episode.copy_to_host()
        return episode[:, t.PATH].copy(), episode[:, t.ROW].copy()

    @property
    def book(self) -> t.Int64:
        """As `Batch.book`, copied to the host."""
        return self._own.store.episode.copy_to_host()[:, t.BOOK].copy()

    def state(self) -> dict[str, Any]:
        """As `Batch.state`, on the host."""
        arrays = {name: array.copy_to_host() for name, array in self._held().items()}
        return arrays | {"of": self.facts(), "seeded": self._seeded}

    def restore(self, state: Mapping[str, Any]) -> None:
        """As `Batch.restore`, from a `state` of a batch on a GPU."""
        check_state(state, self._held(), self.facts(), self.world)
        with cuda.gpus[self.device]:
            for name, array in self._held().items():
                array.copy_to_device(state[name])
        self._seeded = bool(state["seeded"])

    def _held(self) -> dict[str, Any]:
        store = self._own.store
        return {
            "params": store.params,
            "account": store.account,
            "legs": store.legs,
            "episode": store.episode,
            "displaced": store.displaced,
            "obs": self.obs,
        }

    def randomize(self, ranges: Mapping[str, Sequence[Any]]) -> None:
        """As `Batch.randomize`."""
        super().randomize(ranges)
        with cuda.gpus[self.device]:
            device_ranges: Any = self._device_world.ranges
            device_ranges.copy_to_device(np.ascontiguousarray(self.world.ranges))

    def refresh(self, market: Market) -> None:
        """Only the CPU batch takes another market."""
        raise ConfigError(
            "refresh: a batch on a GPU keeps its market; build a new one, or use device='cpu'"
        )

    @property
    def obs_buffers(self) -> tuple[Any, ...]:
        """The two buffers (n, D) between which `obs` alternates."""
        return tuple(out.obs for out in self._own.outs)

    @property
    def bytes_per_env(self) -> int:
        """Device memory of one environment; the market, which all share, is apart."""
        own = self._own
        return (
            sum(array.nbytes for array in (*own.store[1:], *own.outs[0], own.outs[1].obs, *own[2:]))
            // self.num_envs
        )

    def _allocate(self, params: t.Float64) -> None:
        if self.world.contract == t.MIXED:
            raise ConfigError(
                f"{'+'.join(self.market.symbols[0])}: an account of linear and inverse contracts"
                " has no code for a GPU; use the CPU batch"
            )
        assets, width = self.n_assets, len(self.observation_table)
        with cuda.gpus[self.device]:
            self._own = arrays(
                self.num_envs,
                assets,
                width,
                action_entries(self.config, assets),
                params,
                cuda.to_device,
            )
            placed = {
                name: cuda.to_device(np.ascontiguousarray(array))
                for name, array in self.world._asdict().items()
                if name != "contract"
            }
            self._device_world = self.world._replace(**placed)
        self.store, self.actions, out = self._own.store, self._own.actions, self._own.outs[0]
        self.final_obs, self.reward, self.terminated, self.truncated = (
            out.final_obs,
            out.reward,
            out.terminated,
            out.truncated,
        )
        self.ledger, self.trades, self.final_stats = out.ledger, out.trades, out.final
        self.out, self.obs = out, out.obs
        self._front = 0
        # what `step` copies to the device, in the order that the arrays have there
        self._wished = np.zeros(self.actions.shape, dtype=np.float32, order="F")
        self.gate = gate.Actions(self._wished, grid_sizes(self.config, assets), self.decisions)
        self._compiled: set[str] = set()

    def _launch(self, name: str, stream: int) -> None:
        given = arguments(self._device_world, self._own, self.out)[name]
        kind = name + {t.INVERSE: "_inverse", t.PLACED: "_placed"}.get(self.world.contract, "")
        kernel, blocks = dispatcher(kind, self._max_registers), -(-self.num_envs // self._block)
        launch = kernel[blocks, self._block, cuda.external_stream(stream) if stream else 0]
        if name in self._compiled or simulated():
            launch(*given)
            return
        with exact_arithmetic():  # the first launch compiles
            launch(*given)
        self._compiled.add(name)


def _reason() -> str:
    try:
        cuda.current_context()
    except Exception as error:
        return " ".join(str(error).split())[:200]
    return "unknown"
