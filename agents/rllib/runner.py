"""Between RLlib and the agents: the environment of a training, what runners report, and how Ray is
started. Imported only when RLlib is needed.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import ray
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from agents.params import AgentError
from agents.sb3.zones import zone_space, zone_targets
from fundenv.envs.rllib import RunnerEnv, fetch

TRAINING = "fundenv-training"


class TrainingEnv(RunnerEnv):
    """A runner's environments as an algorithm sees them: scaled rewards, a range of cash rates,
    zones for SAC; and sums of rewards, costs and liquidations since the last report.

    Args:
        cash_rates: lowest and highest; the environments' rates lie evenly between. funding_scales:
        levels of funding, dealt out to the environments in turn. reward_scale: on the reward.
        leverage: of the zones (`agents.sb3.zones`), lowest and highest; None: the actions go to the
        environment as they are.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        cash_rates: tuple[float, float],
        funding_scales: tuple[float, ...],
        reward_scale: float,
        leverage: tuple[float, float] | None,
        **settings: Any,
    ) -> None:
        terms = {
            "cash_rate": np.linspace(*cash_rates, num_envs),
            "funding_scale": np.resize(funding_scales, num_envs),
        }
        super().__init__(num_envs, per_env=terms, **settings)
        self.reward_scale, self.leverage = reward_scale, leverage
        if leverage is not None:
            self.single_action_space = zone_space(self.batch.n_assets)
            self.action_space = batch_space(self.single_action_space, num_envs)
        self._clear()

    def step(self, actions: Any) -> Any:
        """What the env answers, the rewards scaled."""
        asked = (
            actions if self.leverage is None else zone_targets(np.asarray(actions), self.leverage)
        )
        obs, reward, terminated, truncated, info = super().step(asked)
        self._steps += 1
        for name, value in self._now().items():
            self._sums[name] = (
                self._sums[name] + value if name in self._sums else value.astype(np.float64)
            )
        return obs, (reward * self.reward_scale).astype(np.float32), terminated, truncated, info

    def report(self) -> dict[str, Any] | None:
        """Means over the steps since the last report, and what does not change; None before the
        first step.
        """
        if not self._steps:
            return None
        means = {name: value / self._steps for name, value in self._sums.items()}
        params = np.broadcast_to(
            self.batch.store.params, (self.num_envs, self.batch.store.params.shape[1])
        )
        self._clear()
        fixed = {
            "params": params,
            "actions": self.batch.actions.copy(),
            "config": self.batch.config,
            "table": self.observation_table,
        }
        return means | fixed

    def _now(self) -> dict[str, NDArray[Any]]:
        batch = self.batch
        return {
            "ledger": batch.ledger,
            "trades": batch.trades,
            "legs": batch.store.legs,
            "reward": batch.reward,
            "obs": batch.obs,
        }

    def _clear(self) -> None:
        self._steps = 0
        self._sums: dict[str, NDArray[np.float64]] = {}


def create(context: Any) -> TrainingEnv:
    """The creator that a training registers."""
    settings = dict(context)
    settings["market"] = fetch(settings["market"])
    return TrainingEnv(
        settings.pop("num_envs", 1), worker_index=getattr(context, "worker_index", 0), **settings
    )


def report_of(runner: Any) -> dict[str, Any] | None:
    """Runs in the runner."""
    found: dict[str, Any] | None = runner.env.unwrapped.report() if runner.env is not None else None
    return found


def snapshot(algorithm: Any) -> Any | None:
    """The reports of all living runners since the last call, in the form of a batch after a step,
    for a `TrainingCallback`. None where no runner answers.
    """
    group = algorithm.env_runner_group
    found = [
        one
        for one in group.foreach_env_runner(
            report_of, local_env_runner=group.num_remote_env_runners() == 0
        )
        if one
    ]
    if not found:
        return None
    joined = {
        name: np.concatenate([one[name] for one in found])
        for name in ("ledger", "trades", "legs", "reward", "obs", "params", "actions")
    }
    store = SimpleNamespace(params=joined.pop("params"), legs=joined.pop("legs"))
    return SimpleNamespace(
        store=store, config=found[0]["config"], observation_table=found[0]["table"], **joined
    )


def start(address: str, runners: int, store: int) -> bool:
    """Connect to the Ray at `address` (or RAY_ADDRESS), or start one here with an object store of
    `store` bytes; False where one is connected already, which the caller then leaves alone.
    """
    if ray.is_initialized():
        return False
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    here: dict[str, Any] = (
        {"num_cpus": runners + 1, "object_store_memory": store, "include_dashboard": False}
        if where == "local"
        else {}
    )
    try:
        _knock(where)
        ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise AgentError(
            f"no Ray cluster at {where!r} ({reason}); start one with 'ray start --head', or leave"
            " the address away"
        ) from None
    return True


def _knock(address: str) -> None:
    """Raise `OSError` where nobody listens at `address`: Ray itself waits for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def diagnostics(result: Mapping[str, Any]) -> dict[str, float]:
    """The scalars of one iteration that the learner reports."""
    own = result.get("learners", {}).get("default_policy", {})
    return {
        f"train/{name}": float(value)
        for name, value in own.items()
        if isinstance(value, (int, float, np.number))
    }
