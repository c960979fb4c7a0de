"""The device that trains: set up to give the same digits every time, timed, and its memory released or kept."""

from __future__ import annotations

import ctypes
import gc
import os
import time

import torch

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's mallopt(3)


def set_up(threads: int, gpu: bool) -> torch.device:
    """Makes PyTorch repeat its digits in this process and use `threads` threads; returns the device that trains.

    Args:
        threads: CPU threads of PyTorch.
        gpu: whether the device is a GPU.
    """
    keep_freed_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it recurrent cells may differ on a GPU
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # By PyTorch's default, GPUs round the factors of convolutions and recurrent cells to TF32, ten bits of mantissa.
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if gpu else "cpu")


def device_name(device: torch.device) -> str:
    """Returns "cpu", or the GPU's model."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def now(device: torch.device) -> float:
    """Returns the seconds of a steady clock, once the device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def release_memory(device: torch.device) -> None:
    """Releases memory that nothing uses any more to the device, for the next trial or another process."""
    if device.type == "cuda":
        gc.collect()  # a failed trial's tensors may hang on its traceback, which refers to itself
        torch.cuda.empty_cache()


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory instead of returning it to the system after each step.

    A training step frees and allocates the same few hundred megabytes over and over. If they are returned, each page
    is faulted in anew, which costs about a fifth of a step on a CPU. With another C library this does nothing.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, 2**25)  # the largest that glibc takes
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_TOP_PAD, 64 * 2**20)
