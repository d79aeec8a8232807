"""A reward of the user's own: a Python function on arrays, called after every step of the batch.

`reward="package.module:function"` names it, so that commands, checkpoints and workers find it. The
compiled loop computes `log_growth` meanwhile; the function may use it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fundenv.config import ConfigError
from fundenv.dynamics import types as t
from fundenv.settings.forms import REWARDS


class RewardStep(NamedTuple):
    """What a reward function sees of one step of n environments. Read it, do not write into it."""

    equity_before: t.Float64  # (n,) quote, when the step began
    equity: t.Float64  # (n,) quote, when it ended; before any reset
    parts: t.Float64  # (n, 9) quote, + received; columns `fundenv.dynamics.types.PARTS`
    actions: t.Float32  # (n, k) as the policy gave them
    log_growth: t.Float64  # (n,) the reward `log_growth`, thousandths
    terminated: t.Bool  # (n,) ruin
    truncated: t.Bool  # (n,) the episode has its length, or the data end


RewardFunction = Callable[[RewardStep], t.Float64]


class OwnReward:
    """Calls the user's function and puts its result in place of the env's reward."""

    def __init__(self, place: str) -> None:
        """Find `package.module:function`; raises `ConfigError` where there is none."""
        self.place = place
        module, _, name = place.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name is None or not (module + ".").startswith(error.name + "."):
                raise  # a library that the user's module needs
            raise ConfigError(
                f"reward = {place!r}: no module {error.name!r}; install it, or run where Python"
                " finds it"
            ) from None
        except AttributeError:
            raise ConfigError(f"reward = {place!r}: module {module} has no {name!r}") from None
        if not callable(found):
            raise ConfigError(f"reward = {place!r} is {found!r} and no function; name a function")
        self.function: RewardFunction = found

    def look(self, batch: Any) -> tuple[t.Float64, t.Bool]:
        """Before a step: equities (n,), and which environments the step only resets (n,)."""
        resets = batch.store.episode[:, t.MUST_RESET] != 0
        return batch.store.account[:, t.EQUITY].copy(), resets

    def write(self, batch: Any, before: tuple[t.Float64, t.Bool]) -> None:
        """After it: the user's reward in place of the env's, in the return of the episode too.

        Raises `ValueError` for a result that is not one finite number per environment.
        """
        equity_before, resets = before
        account, final = batch.store.account, batch.final_stats
        ended = (batch.terminated | batch.truncated) & ~resets
        equity = np.where(ended, final[:, 2], account[:, t.EQUITY])
        step = RewardStep(
            equity_before=np.where(resets, equity, equity_before),
            equity=equity,
            parts=batch.ledger[:, : t.N_PARTS],
            actions=batch.actions,
            log_growth=batch.reward.copy(),
            terminated=batch.terminated,
            truncated=batch.truncated,
        )
        reward = self._checked(self.function(step), len(resets))
        reward = np.where(resets, 0.0, reward)
        change = reward - batch.reward
        final[ended, 0] += change[ended]
        account[~ended, t.EPISODE_REWARD] += change[~ended]
        batch.reward[:] = reward

    def _checked(self, result: Any, n: int) -> t.Float64:
        reward = np.asarray(result, dtype=np.float64)
        if reward.shape != (n,):
            raise ValueError(
                f"reward {self.place} returned shape {reward.shape}; return one number per"
                f" environment, shape ({n},)"
            )
        if not np.isfinite(reward).all():
            i = int(np.flatnonzero(~np.isfinite(reward))[0])
            raise ValueError(
                f"reward {self.place} returned {reward[i]} for environment {i}; return finite"
                " numbers"
            )
        return reward


def own_reward(name: str) -> OwnReward | None:
    """The user's reward, or None where `name` is a reward of the env."""
    return None if name in REWARDS else OwnReward(name)
