"""PPO on a device in two functions, the rollout and the minibatch, which a GPU runs as two CUDA
graphs. Imported only when SB3 is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from agents.sb3.device.horizon import Horizon
from agents.sb3.device.rollout import TensorPPO, unchecked
from agents.sb3.device.section import CudaGraphs, Recorder, Section
from agents.sb3.device.update import Update, portable


class Parts(NamedTuple):
    """The two functions of a training, and their sections."""

    env: Any
    horizon: Horizon
    update: Update
    rollout: Section
    minibatch: Section


class GraphPPO(TensorPPO):
    """`TensorPPO` by the functions of `Horizon` and `Update`. `capture` is whether a GPU records
    them; `look_every` is the number of rollouts between two at which the host reads statistics and
    shows the batch; `tf32` is whether the networks may multiply in TF32 on a GPU.

    On the CPU the same functions are called. `recorder` replaces the one that records: the tests
    set it.
    """

    capture = True
    look_every = 1
    tf32 = True
    recorder: Recorder | None = None
    _parts: Parts | None = None

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_parts", "recorder"]

    def get_parameters(self) -> dict[str, Any]:
        """As SB3's, the optimiser as plain SB3 expects it."""
        found = super().get_parameters()
        return found | {"policy.optimizer": portable(found["policy.optimizer"])}

    def collect_rollouts(
        self, env: Any, callback: BaseCallback, rollout_buffer: Any, n_rollout_steps: int
    ) -> bool:
        """One rollout; the callback is called once, after it."""
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        parts = self.parts(env)
        if self.device.type == "cpu":
            parts.horizon.began.copy_(torch.as_tensor(self._last_episode_starts))
        with unchecked(), fast_products(self.tf32 and self.device.type == "cuda"):
            parts.rollout()
        rollout_buffer.full = True
        self.num_timesteps += n_rollout_steps * env.num_envs
        if self.device.type == "cpu":
            self._last_episode_starts = parts.horizon.began.numpy().astype(bool)
        callback.update_locals(locals())
        if not callback.on_step():
            return False
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """SB3's passes over the rollout, minibatch by minibatch."""
        assert self._parts is not None
        update = self._parts.update
        self.policy.set_training_mode(True)
        left = self._current_progress_remaining
        rate, clip = self.lr_schedule(left), self.clip_range(left)  # type: ignore[operator]
        update.begin(rate, clip, self.ent_coef)
        with unchecked(), fast_products(self.tf32 and self.device.type == "cuda"):
            for _ in range(self.n_epochs):
                update.shuffle()
                for _ in range(update.batches):
                    self._parts.minibatch()
        self._n_updates += self.n_epochs
        rollouts = self._n_updates // self.n_epochs
        if rollouts % self.look_every == 0:
            self._record(update, rate, clip)

    def parts(self, env: Any) -> Parts:
        """The functions on the buffers of `env` and of the rollout, made when first asked for."""
        if self._parts is None or self._parts.env is not env:
            held, p = self.rollout_buffer.held, self.policy
            env.looks = False
            horizon = Horizon(p, env, held, gamma=self.gamma, gae_lambda=self.gae_lambda)
            if self.device.type == "cuda":
                horizon.use_kernel()
            horizon.began.copy_(torch.as_tensor(self._last_episode_starts).to(self.device))
            update = Update(
                p, held, self.batch_size, vf_coef=self.vf_coef, max_grad_norm=self.max_grad_norm
            )
            recorder = self.recorder
            if recorder is None and self.capture and self.device.type == "cuda":
                recorder = CudaGraphs(self.device)
            rollout = Section(
                horizon.collect, name="the rollout", recorder=recorder, aside=env.env.recorded
            )
            minibatch = Section(update.minibatch, name="the minibatch", recorder=recorder)
            self._parts = Parts(env, horizon, update, rollout, minibatch)
        return self._parts

    def _record(self, update: Update, rate: float, clip: float) -> None:
        """Hand the statistics to SB3's logger; waits for the device."""
        held = self.rollout_buffer.held
        for name, value in update.statistics().items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/explained_variance", _explained(held["values"], held["returns"]))
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", float(self.policy.log_std.detach().exp().mean()))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip)
        self.logger.record("train/learning_rate", rate)


def _explained(values: Tensor, returns: Tensor) -> float:
    """Share of the variance of the returns that the values explain."""
    return float(1 - (returns - values).var() / returns.var())


@contextmanager
def fast_products(wanted: bool) -> Iterator[None]:
    """Products of float32 matrices in TF32 inside, where `wanted`: of the networks alone, because
    money is float64.
    """
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = wanted or before
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
