"""How much memory training takes, against what the project predicts.

It predicts two things. The least memory of a step refuses settings that cannot fit (`experiments.learning.memory`): a
step must take that much or more. And the memory of a stack, or of several trials, decides how many trials share a GPU;
it follows from that of one trial (`experiments.compute.gpu_memory`): a stack must take that much or less.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu.cases import Case, LeftOut, Values
from benchmarks.gpu.workload import learner
from experiments.compute.gpu_memory import Held, Meter
from experiments.learning.contract import SYSTEMS

GIB = 2**30
STEPS, STACK = 2, 8
# System, row of Table 2 and batch (as many labelled images besides), the largest last.
TRIALS = {
    "cuda": (
        ("googlenet", "mnist", 1024),
        ("alexnet", "mnist", 1024),
        ("bsvm", "mnist", 32),
        ("bsvm", "mnist", 1024),
        ("softmax", "cifar-10", 256),
        ("bsvm", "imagenet", 8),
        ("bsvm", "imagenet", 32),
    ),
    "cpu": (("alexnet", "mnist", 512), ("bsvm", "mnist", 512)),
}


class Resident:
    """Measures by how much this process's memory grows at most after `start`; on Linux alone."""

    def start(self) -> None:
        """Starts a new measurement. LeftOut where the system has none of this."""
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier cases freed would be used again, and not be seen
            Path("/proc/self/clear_refs").write_text("5")
        except (OSError, AttributeError):
            raise LeftOut("this system does not tell the most memory that a process held") from None
        self._before = self._bytes("VmRSS")

    @property
    def peak(self) -> int:
        """The bytes."""
        return self._bytes("VmHWM") - self._before

    @staticmethod
    def _bytes(name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found is not None
        return 1024 * int(found[1])


def meter(device: torch.device) -> Meter | Resident:
    """Returns what measures the most memory that a device holds."""
    return Meter(device) if device.type == "cuda" else Resident()


def _run(steps: Iterable[object]) -> None:
    for _ in steps:
        pass


def of_a_step(device: torch.device, system: str, row: str, batch: int) -> Values:
    """Returns the memory of a trial's steps, and of the least that was predicted."""
    measured = meter(device)
    measured.start()
    subject = learner(system, device, row=row, batch=batch, steps=STEPS)
    _run(subject.epoch(0))
    # A GPU's allocator also keeps memory between tensors, which the meter counts; a step needs the tensors alone.
    taken = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else measured.peak
    return {
        "predicted, GiB": subject.least_memory / GIB,
        "measured, GiB": taken / GIB,
        "measured over predicted": taken / subject.least_memory,
        "holds": taken >= subject.least_memory,
    }


def of_a_stack(device: torch.device, trials: int) -> Values:
    """Returns the memory of a stack of trials, and what is predicted from one of them."""
    measured = meter(device)
    taken = []
    for count in (1, trials):
        measured.start()
        learners = [learner("bsvm", device, row="mnist", batch=128, steps=STEPS) for _ in range(count)]
        _run(SYSTEMS.get("bsvm").stack(learners).epoch(0) if count > 1 else learners[0].epoch(0))
        taken.append(measured.peak)
        del learners
    predicted = Held(images=0, trial=taken[0]).by(trials)
    return {
        "predicted, GiB": predicted / GIB,
        "measured, GiB": taken[1] / GIB,
        "measured over predicted": taken[1] / predicted,
        "holds": taken[1] <= predicted,
    }


def cases(device: torch.device) -> Iterator[Case]:
    """Yields single trials, and a stack."""
    for system, row, batch in TRIALS[device.type]:
        name = f"at least: {system}, {row}, batch {batch:,} and as many labelled"
        yield Case(name, partial(of_a_step, device, system, row, batch), series=f"{system}, {row}")
    yield Case(f"at most: bsvm, mnist, stack of {STACK}", partial(of_a_stack, device, STACK))
