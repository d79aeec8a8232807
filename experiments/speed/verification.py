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
    import torch

    from fundenv.envs.torch import FundingHedgeTorchEnv

    settings: dict[str, Any] = {
        "market": market,
        "decision_interval": interval,
        "episode": "30D",
        "start_invested": 0.5,
        "max_leverage": 20.0,
    }
    here, there = (FundingHedgeTorchEnv(count, device=name, **settings) for name in ("cpu", device))
    random, worst = torch.Generator().manual_seed(0), 0.0
    if not torch.allclose(here.reset(seed=5)[0], there.reset(seed=5)[0].cpu(), atol=_FLOAT32):
        raise RunError(f"{device}: the first observations differ from the CPU's")
    for step in range(steps):
        actions = torch.rand((count, *(here.action_space.shape or ())), generator=random) * 2 - 1
        want, have = here.step(actions)[:4], there.step(actions.to(there.device))[:4]
        for name, ours, theirs in zip(
            ("observations", "rewards", "terminated", "truncated"), want, have, strict=True
        ):
            exact = ours.dtype == torch.bool
            same = (
                torch.equal(ours, theirs.cpu())
                if exact
                else torch.allclose(ours, theirs.cpu(), rtol=_FLOAT32, atol=_FLOAT32)
            )
            if not same:
                raise RunError(f"step {step}: {name} differ between cpu and {device}")
        for name in ("parts", "equity"):
            gap = (
                here.info[name] - there.info[name].cpu()
            ).abs().max().item() / here.batch.config.initial_equity
            worst = max(worst, gap)
            if gap > DEVICE_TOLERANCE:
                raise RunError(
                    f"step {step}: {name} differ by {gap:.1e} of the initial equity between cpu and"
                    f" {device}"
                )
    return worst
