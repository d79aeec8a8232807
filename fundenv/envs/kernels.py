"""What a learner's own kernels need that run beside the simulation on a GPU: the arithmetic of its
kernels, and whether numba's simulator stands in for the device. Needs the extra `cuda`.
"""

from fundenv.batch.cuda_kernels import exact_arithmetic, simulated

__all__ = ["exact_arithmetic", "simulated"]
