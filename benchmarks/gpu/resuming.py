"""Whether a trial that stops after an epoch and resumes from its checkpoint gets the digits of one that never stopped.

Each system is trained for two epochs three times: without a stop, once more without a stop, and with a checkpoint and a
new learner between the epochs. Where the first two differ, the device does not repeat its digits at all.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.cases import Case, Values
from benchmarks.gpu.workload import learner, rows_of
from experiments.learning.contract import SYSTEMS, Learner

BATCH, STEPS = 8, 2


def trained(subject: Learner, epoch: int) -> Learner:
    """Trains a learner for one epoch and returns it."""
    for _ in subject.epoch(epoch):
        pass
    return subject


def reloaded(state: dict[str, Any]) -> dict[str, Any]:
    """Returns a state as a checkpoint gives it back."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, map_location="cpu", weights_only=True)


def tensors(state: Any) -> Iterator[Tensor]:
    """Yields all tensors of a state, on the CPU."""
    if isinstance(state, Tensor):
        yield state.detach().cpu()
    elif isinstance(state, dict | list | tuple):
        for each in state.values() if isinstance(state, dict) else state:
            yield from tensors(each)


def differing(one: Any, other: Any) -> int:
    """Returns how many values of two states differ; a value that is no number equals itself."""
    pairs = zip(tensors(one), tensors(other), strict=True)
    return sum(int((~torch.isclose(a, b, rtol=0, atol=0, equal_nan=True)).sum()) for a, b in pairs)


def resumed(device: torch.device, system: str) -> Values:
    """Returns whether the digits are the same, and how many are not."""

    def new() -> Learner:
        return learner(system, device, row=rows_of(system), batch=BATCH, steps=STEPS)

    whole, again = (trained(trained(new(), 0), 1).state() for _ in range(2))
    checkpoint, later = reloaded(trained(new(), 0).state()), new()
    later.restore(checkpoint)
    resumed = trained(later, 1).state()
    repeats, resumes = differing(whole, again), differing(whole, resumed)
    return {
        "values": sum(each.numel() for each in tensors(whole)),
        "differ when repeated": repeats,
        "differ when resumed": resumes,
        "holds": not repeats and not resumes,
    }


def cases(device: torch.device) -> Iterator[Case]:
    """Yields every system."""
    for name in SYSTEMS.names():
        yield Case(name, partial(resumed, device, name))
