"""`agents.sb3.device.advantages` as one kernel of numba-cuda, with the same bits. Imported only
where a GPU (or numba's simulator of one) is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import cuda

from fundenv.envs.kernels import exact_arithmetic, simulated

BLOCK = 128  # threads of a block
ONE, ZERO = np.float32(1.0), np.float32(0.0)  # a literal would be float64


def _kernel(rewards, starts, values, last, ended, advantages, returns, gamma, both):
    i = cuda.grid(1)
    if i < last.shape[0]:
        carried = ZERO
        following, going = last[i], ONE - ended[i]
        for back in range(rewards.shape[0]):
            step = rewards.shape[0] - 1 - back
            value = values[step, i]
            delta = rewards[step, i] + gamma * following * going - value
            carried = delta + both * going * carried
            advantages[step, i] = carried
            returns[step, i] = carried + value
            following, going = value, ONE - starts[step, i]


KERNEL = cuda.jit(_kernel)


class Advantages:
    """One launch, one thread an environment; float32 throughout, every product rounded before it is
    added, as torch does.

    Args:
        held, last, ended: as of `agents.sb3.device.advantages.advantages`: tensors on a GPU, or
        numba's arrays. They must stay where they are.
    """

    def __init__(self, held: Mapping[str, Any], last: Any, ended: Any) -> None:
        names = ("rewards", "starts", "values")
        given = (*(held[name] for name in names), last, ended, held["advantages"], held["returns"])
        self.arrays = [_view(each) for each in given]
        self.blocks = -(-self.arrays[3].shape[0] // BLOCK)
        self._compiled = False

    def __call__(self, gamma: float, gae_lambda: float, stream: int = 0) -> None:
        """Queue it on a CUDA stream given by its handle."""
        given = (*self.arrays, np.float32(gamma), np.float32(gamma * gae_lambda))
        launch = KERNEL[self.blocks, BLOCK, cuda.external_stream(stream) if stream else 0]
        if self._compiled or simulated():
            launch(*given)
            return
        with exact_arithmetic():  # the first launch compiles
            launch(*given)
        self._compiled = True


def _view(array: Any) -> Any:
    """A numba array on the memory of a tensor, made without waiting for a stream: a capture would
    refuse that. Anything else as it is.
    """
    if not hasattr(array, "__cuda_array_interface__"):
        return array
    return cuda.as_cuda_array(array, sync=False)
