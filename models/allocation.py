"""Memory that stays with the process while a training runs.

The gradients of a large layer come and go with each step. glibc maps every such block anew and gives it back, and
touching new pages took a quarter of a step's processor time, measured at 20,108 items.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

# Of malloc.h; mallopt has no names outside of C.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4

_MIB = 2**20


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep what is freed inside for the next block, and give it back afterwards; without glibc nothing changes."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "gnu_get_libc_version"):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        # Setting any of them ends glibc's own adjustment of the others, so what it comes to after a while is set.
        libc.mallopt(_MMAP_MAX, 65_536)
        libc.mallopt(_MMAP_THRESHOLD, 32 * _MIB)
        libc.mallopt(_TRIM_THRESHOLD, 64 * _MIB)
        libc.malloc_trim(0)
