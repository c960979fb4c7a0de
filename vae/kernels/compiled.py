"""The kernels in C: compiled when a process first needs them, and called with PyTorch's tensors.

They compute what the model's autograd functions also write in PyTorch, on a CPU in single precision. PyTorch writes the
result of each small step over a layer's blocks to memory and reads it back; a kernel keeps them in registers. A machine
without a C compiler computes in PyTorch. The digits of the two differ by rounding.
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).parent / "switches.c"
# For the processor at hand: the library is never kept for another one. -fopenmp finds the threads that PyTorch has.
OPTIONS = ("-O2", "-funroll-loops", "-march=native", "-fopenmp", "-shared", "-fPIC")


@functools.cache
def library() -> ctypes.CDLL | None:
    """Compiles the kernels, in less than a second; returns None where there is no compiler that can."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / "kernels.so"
        try:
            subprocess.run([compiler, *OPTIONS, SOURCE, "-o", compiled], check=True, capture_output=True, timeout=60)
            return ctypes.CDLL(str(compiled))
        except (OSError, subprocess.SubprocessError):
            return None


def is_compiled_for(data: Tensor) -> bool:
    """Tells whether the kernels can compute with such data: single precision, on a CPU."""
    return data.dtype == torch.float32 and data.device.type == "cpu" and library() is not None


def compute(kernel: str, sizes: Sequence[int], *tensors: Tensor | None) -> None:
    """Calls a kernel by its name in `kernels/switches.c`, with as many threads as PyTorch uses.

    Args:
        sizes: the numbers that it takes first.
        tensors: contiguous inputs and results; None is C's NULL.
    """
    assert all(tensor is None or tensor.is_contiguous() for tensor in tensors)
    getattr(library(), kernel)(
        *map(ctypes.c_int64, sizes),
        ctypes.c_int(torch.get_num_threads()),
        *(None if tensor is None else ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors),
    )
