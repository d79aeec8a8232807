"""The Gymnasium environment. `docs/specification.md` says every rule of the simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
from numpy import ndarray

from fundenv.batch.audit import of_one
from fundenv.batch.cpu import Batch
from fundenv.batch.entry import REFUSED, TERMINATED, TRUNCATED, UNDER_WAY
from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from fundenv.dynamics.types import EQUITY, ROW
from fundenv.envs.spaces import action_space, observation_space
from fundenv.market import Market


class FundingHedgeEnv(gym.Env[Any, Any]):
    """One account of spot and perpetual-swap legs that an agent hedges and levers.

    The agent sets how much carry to hold, the hedge ratio and the leverage. The exchange settles
    funding, charges fees, spread, impact and interest, and liquidates. `docs/specification.md`
    says every rule, one per numbered paragraph.

    Units: money is in quote from the agent's side (+ received), sizes are signed base units
    (+ long), rates are fractions. With positive funding, longs pay shorts.

    Observations: float32 (D,), every entry is clip(raw / scale, low, high). `observation_table`
    lists name, meaning, unit, low, high and scale of each.

    Actions per asset: carry, hedge ratio and leverage, in one of four forms (`actions`). Carry
    > 0 is long spot and short perpetual, which earns positive funding.

    Reward: thousandths of log growth above the cash rate, in one of three forms (`reward`).

    Info, with the same keys after `reset` and every `step`: `equity` [quote], `unix_time` (end of
    the step, seconds since 1970 UTC) and `liquidated` (how often the venue closed a leg, or a part
    of one, during the step), all plain numbers; where coins of the market come and go also
    `delisted`, the number of coins that were closed because the venue delisted them. `audit()`
    returns everything else.

    Args:
        market: a `fundenv.market.Market`, a folder of tidy files, or None for the embedded
        synthetic market. symbols: the symbols of it to use. render_mode: "rgb_array" draws the
        episode. info: "brief" is the info above; False returns an empty dict, True what `audit()`
        returns. settings: fields of `fundenv.config.EnvConfig`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(
        self,
        *,
        market: Market | str | Path | None = None,
        symbols: Sequence[str] | None = None,
        render_mode: str | None = None,
        info: bool | Literal["brief"] = "brief",
        **settings: Any,
    ) -> None:
        """See the class docstring; raises `ConfigError` with one line that names the setting."""
        if info not in (False, True, "brief"):
            raise ConfigError(f"info = {info!r} is not one of False, True, 'brief'")
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"render_mode = {render_mode!r} is not one of None, 'rgb_array'")
        self.batch = Batch(1, market=market, symbols=symbols, wait=False, **settings)
        gate = self.batch.gate
        self._take, self._quick, self._row, self._tells = gate.take_one, gate.quick, gate.row, info
        self._view()
        self.render_mode = render_mode
        self.observation_space = observation_space(self.batch)
        self.action_space = action_space(self.batch)
        self.recorder = _recorder(self.batch) if render_mode else None
        self._is_watched = bool(self.recorder or self.batch.own_reward)

    @property
    def observation_table(self) -> tuple[Any, ...]:
        """The D observations: name, meaning, unit, low, high, scale."""
        return self.batch.observation_table

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[t.Float32, dict[str, Any]]:
        """Begin an episode; options {"path": p, "start": row within the path} choose where. Returns
        (observation (D,), info).
        """
        super().reset(seed=seed)
        where = options or {}
        unknown = set(where) - {"path", "start"}
        if unknown:
            raise ConfigError(
                f"reset option {sorted(unknown)[0]!r} is unknown; the options are path and start"
            )
        obs = self.batch.reset(seed, where.get("path"), where.get("start"))
        if self.batch.calls is not self._calls:
            self._view()
        if self.recorder is not None:
            self.recorder.begin()
        return obs[0].copy(), self._info()

    def step(self, action: Any) -> tuple[t.Float32, float, bool, bool, dict[str, Any]]:
        """Step one decision; `action` in the action space, numbers beyond a Box are clipped to it.
        Returns (observation (D,), reward, terminated, truncated, info). Raises `ValueError` for an
        action of another shape or type, that is not finite or that no grid has.
        """
        calls = self.batch.calls
        if calls is not self._calls:  # after a step of the batch itself, or on another market
            self._view()
        try:
            if type(action) is ndarray and action.dtype is self._quick:
                self._row[:] = action  # refuses another shape itself
            else:
                self._take(action)
        except ValueError:
            self._refuse(action)
        ended = self._step_watched() if self._is_watched else calls.step_first()
        if ended == UNDER_WAY:
            return self._copied(), self._reward[0], False, False, self._info()
        if ended >= REFUSED:
            self._refuse(action)
        return (
            self._copied(),
            self._reward[0],
            ended == TERMINATED,
            ended == TRUNCATED,
            self._info(),
        )

    def _refuse(self, action: Any) -> None:
        """Raise what is wrong with a step that was refused."""
        if self.batch.store.episode[0, t.MUST_RESET]:
            raise gym.error.ResetNeeded(
                "no episode is under way; call reset() before step()"
            ) from None
        try:
            self._take(action)
            self.batch.gate.check()
        except ValueError as error:
            raise error from None

    def _step_watched(self) -> int:
        """A step with a reward of the user's own, or one that is recorded."""
        batch = self.batch
        own = batch.own_reward
        before = own.look(batch) if own else None
        ended = batch.calls.step_first()
        if ended < REFUSED and own and before:
            own.write(batch, before)
        if ended < REFUSED and self.recorder is not None:
            self.recorder.record()
        return ended

    def audit(self) -> dict[str, Any]:
        """What an auditor needs to replay the last step from outside, or the start after `reset`:
        the keys of `fundenv.batch.audit.audit`, as plain numbers, texts and arrays over the assets.
        """
        return of_one(self.batch.audit())

    def action_masks(self) -> t.Bool:
        """(K,) bool: the choices of a `discrete` or `indexed` action that are allowed now: for a
        coin that is halted, not listed yet or delisted only `hold` is. Raises `ConfigError` for
        other actions.
        """
        masks: t.Bool = self.batch.action_masks()[0]
        return masks

    def explain(self, reasons: Sequence[str]) -> None:
        """Give the agent's reason for its next decision, a text per asset; the picture shows the
        latest. Without a render mode this does nothing.
        """
        if len(reasons) != self.batch.n_assets:
            raise ConfigError(
                f"reasons {list(reasons)!r}: expected {self.batch.n_assets}, one per asset"
            )
        if self.recorder is not None:
            self.recorder.reasons = tuple(reasons)

    def render(self) -> Any:
        """The episode so far as an image (H, W, 3) uint8; None without a render mode."""
        return None if self.recorder is None else self.recorder.draw()

    def close(self) -> None:
        """Release threads."""
        self.batch.close()

    def _view(self) -> None:
        """Hold what a step reads."""
        batch = self.batch
        self._calls, self._reward = batch.calls, _view_of(batch.out.reward)
        self._copied: Callable[[], t.Float32] = batch.out.obs[0].copy
        is_brief = self._tells == "brief"
        self._info: Callable[[], dict[str, Any]] = (
            _brief_of(batch) if is_brief else self.audit if self._tells else dict
        )


def _view_of(array: Any) -> Any:
    """A memory view, which gives a number in a third of the time that the array takes."""
    return memoryview(array)


def _brief_of(batch: Batch) -> Callable[[], dict[str, Any]]:
    """The function that tells the brief info of a batch of one on its market."""
    store, close_s = batch.store, _view_of(batch.market.close_s)
    episode, account = _view_of(store.episode[0]), _view_of(store.account[0])
    liquidated = _view_of(store.legs[0, :, t.LIQUIDATED])
    alone = len(liquidated) == 1

    def brief() -> dict[str, Any]:
        closed = liquidated[0] if alone else sum(liquidated)
        return {
            "equity": account[EQUITY],
            "unix_time": close_s[episode[ROW]],
            "liquidated": int(closed) if closed else 0,
        }

    def with_delisted() -> dict[str, Any]:
        delisted = store.legs[0, :, t.REASON] == t.REASON_DELISTED
        return brief() | {"delisted": int(delisted.sum())}

    return with_delisted if batch.market.has_listings else brief


def _recorder(batch: Batch) -> Any:
    from fundenv.envs.record import Recorder  # needs the extra `render`

    return Recorder(batch)
