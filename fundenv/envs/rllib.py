"""The environments for RLlib: a creator to register, which returns the natively vectorised
environment.

Ray is an extra and imported only where it is needed; every process of a node reads a market in
Ray's object store without a copy.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import gymnasium as gym

from fundenv.envs.single import FundingHedgeEnv
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import Market

NAME = "fundenv"
# seeds between two runners: RLlib gives them consecutive ones, and environment i of a runner adds i
STRIDE = 1_000_000


class RunnerEnv(FundingHedgeVectorEnv):
    """The vector environment (NEXT_STEP, which is what RLlib assumes) of one of several runners: no
    two runners share a stream of random numbers.
    """

    def __init__(self, num_envs: int, *, worker_index: int = 0, **settings: Any) -> None:
        """`worker_index` numbers the runners; `settings` as for `FundingHedgeVectorEnv`."""
        super().__init__(num_envs, autoreset_mode="next_step", **settings)
        self.worker_index = worker_index

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        """As its parent, the seed moved by `worker_index` strides."""
        if isinstance(seed, int):
            seed = seed + self.worker_index * STRIDE
        return super().reset(seed=seed, options=options)


def create(context: Any) -> gym.Env[Any, Any] | RunnerEnv:
    """The creator for RLlib: `context` is an `EnvContext`, a mapping of `market` and `EnvConfig`
    fields.

    With `gym_env_vectorize_mode="vector_entry_point"` RLlib adds `num_envs`, and the answer is a
    `RunnerEnv`; without, it is a `FundingHedgeEnv`. `market` may be a `Market`, a folder, None (the
    embedded one), or a Ray object reference to a `Market` (`share`).
    """
    settings = dict(context)
    settings["market"] = fetch(settings.get("market"))
    count = settings.pop("num_envs", None)
    if count is None:
        return FundingHedgeEnv(**settings)
    return RunnerEnv(count, worker_index=getattr(context, "worker_index", 0), **settings)


def register(name: str = NAME) -> str:
    """Register the creator with Ray under `name`; returns the name for `config.environment(name,
    env_config={...})`.
    """
    from ray.tune.registry import register_env

    register_env(name, create)
    return name


class Shared:
    """A market in Ray's object store. Configs are deep-copied by RLlib; a copy of this is
    itself.
    """

    def __init__(self, reference: Any) -> None:
        self.reference = reference

    def __deepcopy__(self, memo: Any) -> Shared:
        return self


# markets of this process that came out of the object store, with the node of that Ray
_FETCHED: WeakKeyDictionary[Market, tuple[str, Shared]] = WeakKeyDictionary()


def share(market: Market) -> Shared:
    """Put a market into the object store of the running Ray, once; every node keeps at most one
    copy, which its processes map and do not copy. A market that `fetch` has returned is there
    already and not put again.
    """
    import ray

    node, shared = _FETCHED.get(market, ("", None))
    if shared is not None and node == ray.get_runtime_context().get_node_id():
        return shared
    return Shared(ray.put(market))


def fetch(market: Any) -> Any:
    """The market behind `share`; anything else as it is."""
    if not isinstance(market, Shared):
        return market
    import ray

    found = ray.get(market.reference)
    _FETCHED[found] = (ray.get_runtime_context().get_node_id(), market)
    return found
