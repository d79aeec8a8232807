"""Arrays on cache lines and in huge pages."""

import mmap

import numpy as np
import pytest

from fundenv.compiler.memory import HUGE, LINE, aligned


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("count", [1, 7, 1_000, HUGE // 2, 3 * HUGE // 4 + 5])
def test_aligned_zeros(count, dtype):
    array = aligned(count, dtype)
    assert (array.shape, array.dtype, array.flags.c_contiguous, array.flags.writeable) == (
        (count,),
        dtype,
        True,
        True,
    )
    large = array.nbytes >= HUGE // 2 and hasattr(mmap, "MADV_HUGEPAGE")
    assert array.ctypes.data % (HUGE if large else LINE) == 0
    assert not array.any()
    array[:] = 1  # all of it can be written
    assert array.sum() == count


@pytest.mark.skipif(
    not hasattr(mmap, "MADV_HUGEPAGE"), reason="huge pages are asked for on Linux alone"
)
def test_a_kernel_without_huge_pages(monkeypatch):
    class Refusing(mmap.mmap):
        def madvise(self, *asked):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(mmap, "mmap", Refusing)
    assert not aligned(HUGE, np.float64).any()
