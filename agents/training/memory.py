"""Memory of a training: the networks' large arrays come and go with every minibatch."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_TRIM, _MMAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_LARGEST = 32 << 20  # bytes; the C library takes no larger threshold


def keep_freed_memory() -> None:
    """Let the C library of this process keep memory that is freed, in arrays of up to 32 MiB.
    Otherwise the kernel takes it back, and clears it again page by page for the next minibatch.
    Does nothing where the C library is not glibc.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # musl has no mallopt
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_MMAP, _LARGEST)
            mallopt(_TRIM, 2**31 - 1)
