"""Compiles the GPU kernels without a GPU and shows the registers, stack and spills that each thread
needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.core.cli import run
from experiments.core.run_folder import RunError
from fundenv.batch.ptx import assemble, compile_kernel, missing


@dataclass(frozen=True, kw_only=True)
class Args:
    """Command line of the offline compilation."""

    kernels: tuple[str, ...] = ("step", "reset")
    """Of step, reset."""
    architectures: tuple[int, ...] = (80, 90)
    """Compute capabilities: 80 is an A100, 90 an H100 or H200."""
    max_registers: int | None = None
    """Limit of registers per thread; none: the compiler's choice."""
    out: Path | None = None
    """Also write the PTX of each kernel into this folder."""


def main(args: Args) -> None:
    """Compile, assemble, show."""
    lack = missing()
    if lack:
        raise RunError(lack)
    table = Table(
        "kernel",
        "architecture",
        "registers",
        "stack",
        "spill stores",
        "spill loads",
        "PTX",
        "compiled in",
    )
    for name in args.kernels:
        for architecture in args.architectures:
            begun, capability = time.perf_counter(), divmod(architecture, 10)
            ptx = compile_kernel(name, capability)
            used = assemble(ptx, capability, args.max_registers)
            seconds = time.perf_counter() - begun
            table.add_row(
                name,
                f"sm_{architecture}",
                str(used.registers),
                *(f"{size} B" for size in used[1:]),
                f"{len(ptx) >> 10:,} KiB",
                f"{seconds:.0f} s",
            )
            if args.out:
                args.out.mkdir(parents=True, exist_ok=True)
                (args.out / f"{name}_sm{architecture}.ptx").write_text(ptx)
    Console().print(table)


if __name__ == "__main__":
    run(Args, main, __doc__)
