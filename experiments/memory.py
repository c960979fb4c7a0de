"""How a training process holds on to memory."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt(3)


def keep_freed_memory() -> None:
    """Lets glibc keep what is freed instead of giving it back to the system after each step.

    A training step frees and allocates the same few hundred megabytes over and over; given back, every page of them
    is faulted in anew, which costs about a fifth of a step on a CPU. Where the C library is another, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, 2**25)  # the largest that glibc takes
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_TOP_PAD, 64 * 2**20)
