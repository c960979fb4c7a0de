"""The device that trains: made to give the same digits every time, timed, and its memory given back or kept."""

from __future__ import annotations

import ctypes
import gc
import os
import time

import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt(3)


def set_up(threads: int, gpu: bool) -> torch.device:
    """The device that this process runs trials on, after it was told to give the same digits every time."""
    _keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it recurrent cells need not repeat on a GPU
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda" if gpu else "cpu")


def now(device: torch.device) -> float:
    """Seconds on a steady clock, once the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def let_go(device: torch.device) -> None:
    """Gives memory that nothing uses any more back to the device, for the next trial or another process."""
    if device.type == "cuda":
        gc.collect()  # a failed trial's tensors may hang on its traceback, which refers to itself
        torch.cuda.empty_cache()


def _keep_freed_memory() -> None:
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
