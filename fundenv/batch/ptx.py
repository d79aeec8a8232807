"""The GPU kernels compiled and assembled without a GPU: to see that they compile, and what they ask
of a device.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from fundenv.batch.action_sizes import action_entries
from fundenv.batch.cpu import Batch
from fundenv.config import ConfigError


class Resources(NamedTuple):
    """What one thread of a kernel uses, as ptxas reports it."""

    registers: int
    stack: int  # bytes
    spill_stores: int  # bytes
    spill_loads: int  # bytes


def missing() -> str | None:
    """What is not installed of what `compile_kernel` and `assemble` need, in one line; None if all
    is there.
    """
    if find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: pip install 'fundenv[ptx]'"
    if find_ptxas() is None:
        return "ptxas is not installed: pip install 'fundenv[ptx]'"
    from numba.cuda.cudadrv.libs import get_libdevice

    try:
        found = get_libdevice() is not None
    except Exception as error:  # cuda.pathfinder has no common type for a library that is not there
        return f"NVVM is not installed: pip install 'fundenv[ptx]' ({str(error).splitlines()[0]})"
    return None if found else "NVVM is not installed: pip install 'fundenv[ptx]'"


def find_ptxas() -> Path | None:
    """The assembler of NVIDIA's wheel, or the one on the PATH."""
    spec = find_spec("nvidia")
    for root in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(root).glob("*/bin/ptxas")):
            return path
    on_path = shutil.which("ptxas")
    return Path(on_path) if on_path else None


def compile_kernel(name: str, capability: tuple[int, int], **settings: Any) -> str:
    """PTX of the kernel `step` or `reset` for a compute capability such as (9, 0), with the memory
    layout of `CudaBatch`; settings as for `Batch`.
    """
    from fundenv.batch.cuda_kernels import KERNELS, arguments, arrays

    batch = Batch(2, autoreset="same_step", **settings)
    entries = action_entries(batch.config, batch.n_assets)
    own = arrays(
        2,
        batch.n_assets,
        len(batch.observation_table),
        entries,
        batch.store.params,
        lambda array: array,
    )
    given = arguments(batch.world, own, own.outs[0])[name]
    return compile_function(KERNELS[name], given, capability)


def compile_function(
    function: Callable[..., None], given: tuple[Any, ...], capability: tuple[int, int]
) -> str:
    """PTX of a function that is a kernel, for arguments of the types of `given`; every product is
    rounded before it is added.
    """
    from numba import cuda
    from numba.cuda.typing.typeof import Purpose, typeof

    from fundenv.batch.cuda_kernels import exact_arithmetic

    signature = tuple(typeof(each, Purpose.argument) for each in given)
    with _stand_in(capability), exact_arithmetic():
        code, _ = cuda.compile(
            function, signature, cc=capability, device=False, abi="numba", opt=True
        )
    return str(code)


def assemble(ptx: str, capability: tuple[int, int], max_registers: int | None = None) -> Resources:
    """Assemble PTX as the driver would; raises `ConfigError` with ptxas's first complaint."""
    ptxas = find_ptxas()
    if ptxas is None:
        raise ConfigError(missing() or "ptxas is not installed")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx)
        limit = [f"--maxrregcount={max_registers}"] if max_registers else []
        command = [
            str(ptxas),
            "-v",
            f"-arch=sm_{capability[0]}{capability[1]}",
            *limit,
            str(source),
            "-o",
            str(Path(folder, "kernel.cubin")),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
    report = done.stdout + done.stderr
    used = re.search(r"Used (\d+) registers", report)
    memory = re.search(
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report
    )
    if done.returncode or used is None or memory is None:
        raise ConfigError(f"ptxas: {(report.strip() or 'no report').splitlines()[0]}")
    return Resources(int(used[1]), *(int(number) for number in memory.groups()))


@contextmanager
def _stand_in(capability: tuple[int, int]) -> Iterator[None]:
    """numba-cuda asks the current device for nothing but its compute capability while it compiles a
    device function.
    """
    from numba.cuda import dispatcher

    real = dispatcher.get_current_device
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=capability)
    try:
        yield
    finally:
        dispatcher.get_current_device = real
