"""The sections of `experiments.gpu`: each returns rows that JSON can keep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from experiments import solvable
from experiments.speed.stepping import BURST
from experiments.speed.steps_per_second import Timing, mode_row, speeds
from experiments.speed.training_speed import plain_learner, train_timed
from experiments.speed.verification import device_gap
from experiments.studies.solvable_tasks import SETTINGS
from fundenv.market import Market

Row = dict[str, Any]
ACTIONS = ("continuous", "discrete", "target")
MARGIN = ("isolated", "cross", "portfolio")
_OPTIMUM = "device-256x32-2048x4"  # the task of `experiments.solvable` that is trained
# of every parity walk: short episodes at high leverage, so that resets and liquidations are met
_HARD: dict[str, Any] = {"episode": "30D", "start_invested": 0.5, "max_leverage": 20.0}


def parity(market: Market, joint: Market, device: str, count: int, steps: int) -> Iterator[Row]:
    """Every margin mode x kind of action, and one capital over several coins: `count` environments
    x `steps` decisions on the CPU and on `device`. Flags must be equal; `gap` is the largest
    difference of money over the initial equity.
    """
    cases: list[tuple[str, Market, Row]] = [
        (f"{margin}, {actions}", market, {"margin_mode": margin, "actions": actions})
        for margin in MARGIN
        for actions in ACTIONS
    ]
    shared = {"capital": "shared", "margin_mode": "portfolio", "keeper_watches": "equity"}
    cases += [
        ("one capital, continuous", joint, shared | {"actions": "continuous"}),
        ("decisions every hour", market, {"decision_interval": "1h"}),
        ("impact that stays", market, {"impact_lasting": 0.5}),
    ]
    for name, walked, settings in cases:
        given = _HARD | settings
        yield {"case": name, **device_gap(walked, given, device, count, steps)}


def stepping(market: Market, device: str, batches: tuple[int, ...], repeats: int) -> Iterator[Row]:
    """Steps per second of tensors with random actions, decisions every hour and every 8 h; on a GPU
    in a captured graph. Bytes of one environment, bytes of a step, share of the copy bandwidth.
    """
    timing = Timing(device, 1, "wall", repeats)
    for interval in ("1h", "8h"):
        for count in batches:
            yield mode_row("torch", count, interval, market, timing) | _memory(device)


def learning(
    name: str, market: Market, device: str, batches: tuple[int, ...], rounds: int, repeats: int
) -> Iterator[Row]:
    """Of `device_ppo` or `device_sac`, for each number of environments: decisions a second of the
    environments alone, with the policy's inference, and of training end to end.
    """
    timing = Timing(device, 1, "wall", repeats)
    for count in batches:
        alone = mode_row("torch", count, "8h", market, timing)["steps_per_s"]
        steps = rounds * count
        spent, done = train_timed(
            name, market, envs=count, steps=steps, device=device, seed=0, wall=True
        )
        yield {
            "learner": name,
            "envs": count,
            "steps": done,
            "steps_per_s": alone,
            "with_inference_per_s": _inference(name, market, device, count, timing),
            "end_to_end_per_s": done / spent.whole,
            "share_learning": spent.learning / spent.whole,
            "share_stepping": spent.stepping / spent.whole,
        } | _memory(device)


def known_optimum(device: str, steps: int) -> Iterator[Row]:
    """`device_ppo` on problem A of `experiments.solvable`: wall clock until 97 % of the optimum."""
    task = SETTINGS[_OPTIMUM]
    task = replace(task, steps=steps, params=task.params | {"device": device})
    row = solvable.train(task, seed=0, clock=time.perf_counter)
    yield {"task": _OPTIMUM, "device": device, **row}


def _inference(name: str, market: Market, device: str, count: int, timing: Timing) -> float:
    import torch

    agent = plain_learner(name, count, device)
    agent.steps_wanted = count
    env = agent.training_env(market, {}, 0)
    policy = agent.build(env, 0).policy
    env.reset()

    def run() -> int:
        with torch.no_grad():
            for _ in range(BURST):
                env.advance(policy._predict(env.obs, deterministic=False))
        if device != "cpu":
            torch.cuda.synchronize(device)
        return BURST * count

    return float(np.median(speeds(run, timing)))


def _memory(device: str) -> Row:
    """Bytes that are in use on the device, of all processes."""
    if device == "cpu":
        return {}
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return {"device_bytes_in_use": total - free}
