"""Checks and times the env and the learners on an NVIDIA GPU: parity with the CPU, steps per
second, a training in CUDA graphs, PPO and SAC end to end, memory.

The command prints every section and writes it as JSON when it is finished. If a section fails, the
command says so and continues with the next.
"""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from experiments.core.cli import run
from experiments.core.run_folder import RunError, write_json
from experiments.speed import gpu_sections as sections
from fundenv.market import synthetic_market, synthetic_portfolio

Section = Literal["parity", "stepping", "captured", "ppo", "sac"]
_REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the GPU check."""

    device: str = "cuda"
    """A CUDA device; cpu runs the same sections without a GPU, to try the command."""
    sections: tuple[Section, ...] = get_args(Section)
    """Sections to run."""
    parity_envs: int = 65
    """Environments of the comparison with the CPU."""
    parity_steps: int = 4096
    """Decisions of the comparison with the CPU."""
    batches: tuple[int, ...] = (4096, 65_536, 1_048_576)
    """Numbers of environments in a batch."""
    learner_envs: tuple[int, ...] = (4096, 16_384, 65_536)
    """Environments of the learners."""
    rounds: int = 256
    """Decisions of each environment in a training of device_sac."""
    optimum_steps: int = 700_000
    """Steps of the training on the problem with a known optimum."""
    out: Path | None = Path("runs/gpu.json")
    """File of all rows."""


def main(args: Args) -> None:
    """Run the sections, print and write each; raises `RunError` where one failed."""
    _refuse(args)
    market = synthetic_market("btc", years=3, seed=0)
    report: dict[str, Any] = {"machine": _machine(args.device), "sections": {}}
    print(report["machine"])
    failed = []
    for name, make in _plan(args, market).items():
        begun, rows, problem = time.monotonic(), [], ""
        print(f"\n{name}")
        try:
            for row in make():
                rows.append(row)
                print("  " + _line(row))
        except (RuntimeError, ValueError, MemoryError) as error:
            problem = f"{type(error).__name__}: {error}"
            print(f"  failed: {problem}")
        differing = [row["case"] for row in rows if row.get("differs")]
        failed += [name] if problem or differing else []
        report["sections"][name] = {
            "seconds": round(time.monotonic() - begun, 1),
            "failed": problem,
            "rows": rows,
        }
        if args.out is not None:
            write_json(args.out, report)
    if args.out is not None:
        print(f"\nwritten to {args.out}")
    if failed:
        raise RunError(f"{', '.join(failed)}: failed, or differs from the CPU; see above")


def _refuse(args: Args) -> None:
    from fundenv.envs.torch import usable_device

    usable_device(args.device)
    for name in ("parity_envs", "parity_steps", "rounds", "optimum_steps"):
        if getattr(args, name) < 1:
            flag = name.replace("_", "-")
            raise RunError(f"--{flag} {getattr(args, name)}: must be at least 1")
    if args.device != "cpu":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = True  # of the networks; money is float64
        warnings.filterwarnings("always", message=".*CUDA graph.*")  # why a capture failed


def _plan(args: Args, market: Any) -> dict[str, Callable[[], Iterator[dict[str, Any]]]]:
    joint = synthetic_portfolio(3, years=1, seed=0)
    year = synthetic_market("btc", years=1, seed=0)  # of the learners, who build tables of it

    plan: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
        "parity": lambda: sections.parity(
            market, joint, args.device, args.parity_envs, args.parity_steps
        ),
        "stepping": lambda: sections.stepping(market, args.device, args.batches, _REPEATS),
        "captured": lambda: sections.captured(year, args.device, args.learner_envs[0]),
        "ppo": lambda: sections.engines(
            year, args.device, args.learner_envs, _REPEATS, args.optimum_steps
        ),
        "sac": lambda: sections.learning(
            "device_sac", year, args.device, args.learner_envs, args.rounds, _REPEATS
        ),
    }
    return {name: plan[name] for name in args.sections}


def _machine(device: str) -> str:
    import torch

    name = f"{platform.machine()} CPU, a trial without a GPU"
    if device != "cpu":
        name = torch.cuda.get_device_name(device)
    return f"{name}, torch {torch.__version__}, Python {platform.python_version()}"


def _line(row: dict[str, Any]) -> str:
    said = []
    for name, value in row.items():
        if isinstance(value, float):
            value = f"{value:,.0f}" if abs(value) >= 1e3 else f"{value:.3g}"
        elif isinstance(value, int):
            value = f"{value:,}"
        said.append(f"{name.replace('_', ' ')} {value if value != '' else 'nothing'}")
    return ", ".join(said)


if __name__ == "__main__":
    run(Args, main, __doc__)
