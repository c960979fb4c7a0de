"""The parts of the benchmark, in order, and what happens in the process that measures one."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import torch

from benchmarks.gpu.cases import Case, LeftOut, Row
from data.errors import UserError
from experiments.learning.device import device_name, release_memory, set_up
from experiments.learning.memory import memory_of

NO_TIME = "left out: no time was left"
BROKEN = 3  # the exit code of a process whose device computes no more


@dataclass(frozen=True)
class Part:
    """One part: a module with a function `cases`, which yields what to measure on a device.

    Attributes:
        module: its module, by its whole name.
        title: of its table.
        seconds: that it takes about, by the kind of the device.
    """

    module: str
    title: str
    seconds: Mapping[str, float]

    @property
    def name(self) -> str:
        """What the command calls it."""
        return self.module.rpartition(".")[2]


@dataclass
class Outcome:
    """What came of a part: a row for each case of those that it has, and the seconds that it took."""

    part: Part
    names: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0


PARTS = (
    Part("benchmarks.gpu.agreement", "Distances from the CPU", {"cuda": 130, "cpu": 35}),
    Part("benchmarks.gpu.resuming", "Digits after a checkpoint", {"cuda": 40, "cpu": 20}),
    Part("benchmarks.gpu.rates", "Training steps", {"cuda": 110, "cpu": 20}),
    Part("benchmarks.gpu.throughput", "Trials an hour in stacks", {"cuda": 75, "cpu": 15}),
    Part("benchmarks.gpu.sharing", "Trials an hour in processes that share the device", {"cuda": 55, "cpu": 20}),
    Part("benchmarks.gpu.footprint", "Memory", {"cuda": 40, "cpu": 15}),
)


def facts(device: torch.device) -> dict[str, Any]:
    """Returns what the numbers depend on: the device, and the versions of what runs on it."""
    found: dict[str, Any] = {
        "device": device_name(device),
        "memory, GiB": round(memory_of(device) / 2**30, 1),
        "CPU": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "Python": platform.python_version(),
        "PyTorch": str(torch.__version__),
    }
    if device.type == "cuda":
        found["CUDA"], found["cuDNN"] = torch.version.cuda, torch.backends.cudnn.version()
        found["compute capability"] = ".".join(map(str, torch.cuda.get_device_capability(device)))
    return found


def measure(module: str, kind: str, threads: int, seconds: float, first: int, told: Connection) -> None:
    """Measures the cases of a part, from the one numbered `first`; the body of a process of its own.

    It tells the facts, the list of all cases' names, and then the row of each case. It ends early, with the exit code
    `BROKEN`, where the device fails for good: every later case needs a new process then.

    Args:
        module: of the part.
        kind: "cuda" or "cpu".
        threads: CPU threads of PyTorch.
        seconds: after which no case begins.
        first: number of the first case to measure.
        told: whom it tells.
    """
    ends = time.monotonic() + seconds
    device = set_up(threads, gpu=kind == "cuda")
    told.send(facts(device))
    cases: list[Case] = list(importlib.import_module(module).cases(device))
    told.send([case.name for case in cases])
    full: set[str] = set()
    for case in cases[first:]:
        told.send(_row(case, device, full, ends))
        if not _usable(device):
            sys.exit(BROKEN)


def _row(case: Case, device: torch.device, full: set[str], ends: float) -> Row:
    """Returns what came of a case; adds its series to those that are `full` where it does not fit."""
    if time.monotonic() > ends:
        return Row(case.name, reason=NO_TIME)
    if case.series in full:
        return Row(case.name, reason="not tried: a smaller one does not fit")
    try:
        return Row(case.name, case.run())
    except LeftOut as reason:
        return Row(case.name, reason=str(reason))
    except Exception as error:
        if not _lacks_memory(error):
            return Row(case.name, reason=in_one_line(error), failed=True)
        full.add(case.series or case.name)
        return Row(case.name, reason=in_one_line(error))


def _lacks_memory(error: Exception) -> bool:
    """Returns whether a device, the machine or the project itself refused memory, which cuBLAS does in words."""
    lacking = (torch.OutOfMemoryError, MemoryError, UserError)
    return isinstance(error, lacking) or "CUBLAS_STATUS_ALLOC_FAILED" in str(error)


def _usable(device: torch.device) -> bool:
    """Releases memory; returns whether the device still computes. After some errors of CUDA it does not."""
    try:
        release_memory(device)
        return bool((torch.ones(8, device=device).sum() == 8).item())
    except RuntimeError:
        return False


def in_one_line(error: BaseException) -> str:
    """Returns the kind and the first line of an error."""
    text = str(error).strip().partition("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
