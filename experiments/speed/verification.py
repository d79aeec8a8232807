"""What must hold before a speed is worth measuring: the slow reference account, and the CPU's
numbers on any other device.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from experiments.core.run_folder import RunError
from fundenv.config import EnvConfig
from fundenv.envs.single import FundingHedgeEnv
from fundenv.market import Market

REFERENCE_TOLERANCE = 1e-9  # relative to the initial equity
DEVICE_TOLERANCE = 1e-9  # of money; observations and rewards are float32
_FLOAT32 = 1e-4


def reference_error(market: Market, interval: str, walks: int = 4, steps: int = 40) -> float | None:
    """Largest difference of equity to the plain-Python account of the tests, over the initial
    equity; None where the tests are not installed.

    Random targets from random rows of the market. Raises `RunError` above `REFERENCE_TOLERANCE`.
    """
    if find_spec("tests") is None or find_spec("tests.oracle.linear") is None:
        return None
    reference: Any = import_module("tests.oracle.linear")
    settings: dict[str, Any] = {
        "actions": "target",
        "decision_interval": interval,
        "episode": None,
        "max_leverage": 10.0,
    }
    config = EnvConfig.from_dict(settings)
    rng, worst = np.random.default_rng(0), 0.0
    for _ in range(walks):
        path = int(rng.integers(market.n_paths))
        start = int(rng.integers(int(market.paths[path, 1] - market.paths[path, 0]) * 3 // 4))
        env = FundingHedgeEnv(market=market, **settings)
        env.reset(options={"path": path, "start": start})
        account = reference.ReferenceAccount(market, config, path, start)
        for step in range(steps):
            targets = [
                tuple(float(np.float32(x)) for x in rng.uniform((-1, 0, 1), (1, 1.5, 10)))
                for _ in range(market.n_assets)
            ]
            _, _, terminated, truncated, info = env.step(
                np.array([(0.0, *target) for target in targets], np.float32).ravel()
            )
            expected = account.step(list(targets))
            worst = max(worst, abs(info["equity"] - expected["equity"]) / config.initial_equity)
            if worst > REFERENCE_TOLERANCE or terminated != expected["terminated"]:
                raise RunError(
                    f"path {path}, start {start}, step {step}: equity {info['equity']!r}, the"
                    f" reference account has {expected['equity']!r}"
                )
            if terminated or truncated:
                break
    return worst


def device_error(
    market: Market, interval: str, device: str, count: int = 4096, steps: int = 200
) -> float:
    """Largest difference of money between the CPU and `device` over the initial equity, with the
    same seed and actions.

    Flags must be equal. Raises `RunError` where they are not, or above `DEVICE_TOLERANCE`.
    """
    settings = {
        "decision_interval": interval,
        "episode": "30D",
        "start_invested": 0.5,
        "max_leverage": 20.0,
    }
    found = device_gap(market, settings, device, count, steps)
    if found["differs"]:
        raise RunError(f"cpu and {device}: {found['differs']}")
    return float(found["gap"])


def device_gap(
    market: Market, settings: dict[str, Any], device: str, count: int, steps: int
) -> dict[str, Any]:
    """`count` environments x `steps` random decisions on the CPU and on `device`, with the same
    seed: {gap: largest difference of money over the initial equity, steps: decisions compared,
    ended: episodes that ended, liquidated: in how many, differs: what differs first, "" for
    nothing}. Flags must be equal; money may differ by `DEVICE_TOLERANCE`.
    """
    import torch

    from fundenv.envs.torch import FundingHedgeTorchEnv

    given = {"market": market, **settings}
    here, there = (FundingHedgeTorchEnv(count, device=name, **given) for name in ("cpu", device))
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {"gap": 0.0, "steps": 0, "ended": 0, "liquidated": 0, "differs": ""}
    if not torch.allclose(here.reset(seed=5)[0], there.reset(seed=5)[0].cpu(), atol=_FLOAT32):
        return found | {"differs": "the first observations"}
    for step in range(steps):
        actions = torch.as_tensor(_random_actions(here, rng))
        want, have = here.step(actions)[:4], there.step(actions.to(there.device))[:4]
        gap, differs = _compare(here, there, want, have)
        found["gap"], found["steps"] = max(found["gap"], gap), step + 1
        found["ended"] += int((want[2] | want[3]).sum())
        found["liquidated"] += int((here.info["liquidated"] > 0).any(dim=1).sum())
        if differs:
            return found | {"differs": f"{differs} at step {step}"}
    return found


def _random_actions(env: Any, rng: np.random.Generator) -> Any:
    """(n, W) of an environment's action space."""
    space, shape = env.action_space, env.batch.actions.shape
    if hasattr(space, "nvec"):
        return rng.integers(0, space.nvec, shape)
    return rng.uniform(space.low, space.high, shape).astype(np.float32)


def _compare(here: Any, there: Any, want: Any, have: Any) -> tuple[float, str]:
    """(largest difference of money over the initial equity, what differs or "")."""
    import torch

    names = ("observations", "rewards", "terminated", "truncated")
    equity, worst, differs = here.batch.config.initial_equity, 0.0, ""
    for name in ("parts", "equity"):
        gap = float((here.info[name] - there.info[name].cpu()).abs().max()) / equity
        worst = max(worst, gap)
        if gap > DEVICE_TOLERANCE and not differs:
            differs = f"{name} differ by {gap:.1e} of the initial equity"
    for name, ours, theirs in zip(names, want, have, strict=True):
        exact = ours.dtype == torch.bool
        same = (
            torch.equal(ours, theirs.cpu())
            if exact
            else torch.allclose(ours, theirs.cpu(), rtol=_FLOAT32, atol=_FLOAT32)
        )
        if not same and not differs:
            differs = f"{name} differ"
    return worst, differs
