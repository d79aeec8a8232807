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
    """Of `device_sac`, for each number of environments: decisions a second of the
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


def engines(
    market: Market, device: str, batches: tuple[int, ...], repeats: int, steps: int
) -> Iterator[Row]:
    """Of `device_ppo`, for each engine and number of environments, on the wall clock: decisions a
    second of the environments alone, with the policy's inference (a rollout), and of training end
    to end. Rollouts of 64 decisions, four passes in minibatches of at most 32,768; with `graph` one
    pass too. At last the seconds to 97 % of a known optimum with `steps` steps, 256 environments.
    """
    timing = Timing(device, 1, "wall", repeats)
    fast = "graph" if device != "cpu" else "functions"
    for count in batches:
        alone = mode_row("torch", count, "8h", market, timing)["steps_per_s"]
        env = _env(market, device, count)
        for engine, epochs in ((fast, 4), (fast, 1), ("loop", 4)):
            yield {
                "learner": "device_ppo",
                "engine": engine,
                "envs": count,
                "epochs": epochs,
                "steps_per_s": alone,
                **_rates(env, device, count, engine, epochs, timing),
            } | _memory(device)
        env.close()
    for engine in (fast, "loop"):
        yield from known_optimum(device, engine, steps)


def captured(market: Market, device: str, count: int) -> Iterator[Row]:
    """`device_ppo` with the same seed twice: by its functions, and on a GPU by their graphs, until
    one rollout and one update were replayed. Every action must be the same, and `gap`, the largest
    difference of a weight, at most 1e-5.
    """
    from agents.sb3.device.section import WARM

    fast = "graph" if device != "cpu" else "functions"
    models = []
    for engine in ("functions", fast):
        env = _env(market, device, count)
        model, callback = _begun(env, device, count, engine, 4)
        for _ in range(WARM + 1):
            model.collect_rollouts(env, callback, model.rollout_buffer, model.n_steps)
            model.train()
        models.append(model)
    plain, recorded = models
    pairs = zip(plain.policy.parameters(), recorded.policy.parameters(), strict=True)
    gap = max(float((one - other).detach().abs().max()) for one, other in pairs)
    one, other = (model.rollout_buffer.held["actions"] for model in models)
    differing = int((one != other).sum())
    sections = (recorded._parts.rollout, recorded._parts.minibatch)
    unrecorded = [each.name for each in sections if device != "cpu" and not each.recorded]
    wrong = [f"{differing:,} actions differ"] if differing else []
    wrong += [f"weights differ by {gap:.1e}"] if gap > 1e-5 else []
    wrong += [f"{name} was not captured" for name in unrecorded]
    yield {"case": "a captured training", "envs": count, "gap": gap, "differs": ", ".join(wrong)}


def known_optimum(device: str, engine: str, steps: int) -> Iterator[Row]:
    """`device_ppo` on problem A of `experiments.solvable`: wall clock until 97 % of the optimum."""
    task = SETTINGS[_OPTIMUM]
    params = task.params | {"device": device, "engine": engine}
    task = replace(task, steps=steps, params=params)
    row = solvable.train(task, seed=0, clock=time.perf_counter, settle=lambda: _settle(device))
    yield {"task": _OPTIMUM, "engine": engine, "device": device, **row}


def _env(market: Market, device: str, count: int) -> Any:
    """The environments of a training of `device_ppo`."""
    return plain_learner("device_ppo", count, device).training_env(market, {}, 0)


def _begun(env: Any, device: str, count: int, engine: str, epochs: int) -> tuple[Any, Any]:
    """A model of `device_ppo` whose training on `env` has begun, and SB3's callback."""
    import torch
    from stable_baselines3.common.logger import Logger

    torch.set_num_threads(1)
    samples = 64 * count
    sizes = {"n_steps": 64, "batch_size": min(samples, 32_768), "epochs": epochs}
    agent = plain_learner("device_ppo", count, device, engine=engine, **sizes)
    agent.steps_wanted = 10**9
    agent.bind(env.batch)
    env.looks = device == "cpu"
    model = agent.build(env, 0)
    model.set_logger(Logger(None, []))
    _, callback = model._setup_learn(agent.steps_wanted, None)
    return model, callback


def _rates(env: Any, device: str, count: int, engine: str, epochs: int, timing: Timing) -> Row:
    from agents.sb3.device.section import WARM

    model, callback = _begun(env, device, count, engine, epochs)

    def collect() -> int:
        model.collect_rollouts(env, callback, model.rollout_buffer, model.n_steps)
        _settle(device)
        return int(model.n_steps * count)

    def whole() -> int:
        model.collect_rollouts(env, callback, model.rollout_buffer, model.n_steps)
        model.train()
        _settle(device)
        return int(model.n_steps * count)

    for _ in range(WARM + 1):
        whole()
    found = {"with_inference_per_s": collect, "end_to_end_per_s": whole}
    return {name: float(np.median(speeds(run, timing))) for name, run in found.items()}


def _settle(device: str) -> None:
    """Wait for the device."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize(device)


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
