"""What a training needs besides its model to continue to the same bits as if it had never
stopped. Imported only when SB3 is needed.

SB3 saves weights, optimisers and counters. Left out are the state of the envs, the last
observation, and the streams of random numbers. All of it is taken at the start of a rollout, when
nothing is half done: a training that stops within a rollout plays that rollout again, with the same
numbers. The noise of gSDE has been drawn by then, so it is taken too; steps of that rollout that a
replay buffer holds already are written over.
"""

from __future__ import annotations

import random
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

_MODEL = (
    "num_timesteps",
    "_episode_num",
    "_n_updates",
    "_last_obs",
    "_last_episode_starts",
    "_last_original_obs",
)
_NOISE = ("exploration_mat", "exploration_matrices")
# fields of Params that came after the first snapshots, which had 26 of them, in their order: values
# at which the env does what it did before them
_FIRST = 26
_LATER = (
    0.0,  # base_supply
    0.0,  # quote_supply
    0.6,  # borrow_used
    12.0,  # borrow_slope
    1.0,  # borrow_steep
    0.0,  # liquidation_gap
    0.0,  # deficit_share
    0.5,  # impact_exponent
    0.0,  # impact_lasting
    1.0,  # impact_keep
    0.0,  # funding_response
)


def _noise(model: Any) -> Any:
    """The distribution that holds the noise of gSDE."""
    return getattr(model, "actor", model.policy).action_dist


def _with_new_params(state: dict[str, Any], batch: Any) -> dict[str, Any]:
    """The state of a batch. A state that was saved before `Params` got its last fields takes those
    of `_LATER`, so that the training goes on in the env in which it began, and others from `batch`,
    whose settings are those of the training.
    """
    if "displaced" not in state:  # impact had no memory yet
        state = state | {"displaced": np.zeros_like(batch.store.displaced)}
    old, own = state["params"], batch.store.params
    if "of" in state or old.shape[1] >= own.shape[1]:
        return state
    params = own.copy()
    params[:, _FIRST : _FIRST + len(_LATER)] = _LATER
    params[:, : old.shape[1]] = old
    return state | {"params": params}


class Snapshot:
    """The state of the collecting side at the start of a rollout."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.state = state

    @classmethod
    def take(cls, model: Any) -> Self:
        """Copies; the model must stand between two rollouts."""
        env = model.get_env()
        return cls(
            {
                "model": {
                    name: deepcopy(getattr(model, name)) for name in _MODEL if hasattr(model, name)
                },
                "batch": env.batch.state(),
                "potential": env.state(),
                "noise": (
                    {name: getattr(_noise(model), name).detach().clone() for name in _NOISE}
                    if model.use_sde
                    else {}
                ),
                "replay": (
                    {name: getattr(model.replay_buffer, name) for name in ("pos", "full")}
                    if hasattr(model, "replay_buffer")
                    else {}
                ),
                "spaces": deepcopy(model.action_space.np_random.bit_generator.state),
                "random": (
                    random.getstate(),
                    np.random.get_state(),  # noqa: NPY002  (the streams that SB3 seeds)
                    torch.get_rng_state(),
                ),
            }
        )

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return int(self.state["model"]["num_timesteps"])

    def restore(self, model: Any) -> None:
        """Put everything back; the env of the model must be built as it was."""
        env = model.get_env()
        for name, value in deepcopy(self.state["model"]).items():
            setattr(model, name, value)
        env.batch.restore(_with_new_params(self.state["batch"], env.batch))
        env.restore(self.state["potential"])
        for name, value in self.state.get("noise", {}).items():
            setattr(_noise(model), name, value.clone())
        for name, value in self.state.get("replay", {}).items():
            setattr(model.replay_buffer, name, value)
        model.action_space.np_random.bit_generator.state = self.state["spaces"]
        own, numbers, tensors = self.state["random"]
        random.setstate(own)
        np.random.set_state(numbers)  # noqa: NPY002
        torch.set_rng_state(tensors)

    def save(self, path: Path) -> None:
        """Write the state; `agents.sb3.archive.read_torch` reads it."""
        torch.save(self.state, path)
