"""Whether a device computes the losses, gradients and steps that the CPU computes, in each precision.

Every system takes its steps on the device and on the CPU, with the same random numbers; so does `bsvm` with every
estimator under every reading of q that it serves. Both start each step from the weights of the CPU.

Another learner on the CPU does the same in float64. Its distance from the CPU's own numbers is the error of the
precision itself, which differs from network to network: a switch, a ReLU or a maximum that rounding tips over changes a
gradient by more than rounding. Therefore a device may be as far from the CPU as a fixed tolerance and three times that
error together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.cases import Case, Values
from benchmarks.gpu.host_random import HostRandom
from benchmarks.gpu.workload import learner, rows_of
from experiments.learning.contract import SYSTEMS
from vae.estimators.contract import estimator_named, estimator_names

CPU = torch.device("cpu")
BATCH, STEPS = 4, {"cuda": 3, "cpu": 1}
# By precision: PyTorch's default type, the setting `arithmetic`, and the tolerance.
PRECISIONS = {
    "float64": (torch.float64, "float32", 1e-6),
    "float32": (torch.float32, "float32", 1e-2),
    "bfloat16": (torch.float32, "bfloat16", 1e-1),
}
ERRORS = 3  # how often the precision's own error is allowed besides


@dataclass(frozen=True)
class Step:
    """A step's loss, the gradients of the weights, and the weights after it, in float64 on the CPU."""

    loss: float
    gradients: Sequence[Tensor]
    weights: Sequence[Tensor]

    def distances(self, reference: Step) -> tuple[float, float, float]:
        """Returns how far the three are from a reference, relative to it."""
        return (
            abs(self.loss - reference.loss) / max(abs(reference.loss), 1e-12),
            distance(self.gradients, reference.gradients),
            distance(self.weights, reference.weights),
        )


def distance(values: Sequence[Tensor], reference: Sequence[Tensor]) -> float:
    """Returns ‖a − b‖ / ‖b‖ of the tensor where it is largest.

    A norm below a thousandth of that of all tensors together counts as that: some gradients are zero but for rounding.
    """
    least = torch.stack([each.norm() for each in reference]).norm().item() / 1000
    pairs = zip(values, reference, strict=True)
    return max((a - b).norm().item() / max(b.norm().item(), least, 1e-300) for a, b in pairs)


class Stepper:
    """A learner that takes a step at a time, with random numbers that are the same on all devices."""

    def __init__(self, device: torch.device, dtype: torch.dtype, system: str, **how: Any) -> None:
        self.dtype = dtype
        with default_type(dtype), HostRandom():
            self.learner = learner(system, device, batch=BATCH, steps=max(STEPS.values()), **how)
        self._steps = iter(self.learner.epoch(0))

    def step(self) -> Step:
        """Takes the next step."""
        with default_type(self.dtype), HostRandom():
            loss = float(next(self._steps)["loss"])
        parameters = [each for each in self.learner.model.parameters() if each.grad is not None]
        return Step(loss, [_plain(each.grad) for each in parameters], [_plain(each) for each in parameters])

    def follow(self, leader: Stepper) -> None:
        """Takes over the weights and the state of the optimiser of another one."""
        self.learner.restore(leader.learner.state())


def _plain(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor.detach().to(CPU, torch.float64)


@contextmanager
def default_type(dtype: torch.dtype) -> Iterator[None]:
    """Makes `dtype` the type of PyTorch's new tensors for the block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def compared(device: torch.device, precision: str, system: str, **how: Any) -> Values:
    """Returns the largest distances over the steps, and the largest share that one of them has of what is allowed."""
    dtype, arithmetic, tolerance = PRECISIONS[precision]
    cpu, other = (Stepper(each, dtype, system, arithmetic=arithmetic, **how) for each in (CPU, device))
    exact = Stepper(CPU, torch.float64, system, **how)
    found, errors = [], []
    for _ in range(STEPS[device.type]):
        other.follow(cpu)
        exact.follow(cpu)
        reference = cpu.step()
        found.append(other.step().distances(reference))
        errors.append(reference.distances(exact.step()))
    distances, own = ([max(column) for column in zip(*rows, strict=True)] for rows in (found, errors))
    share = max(far / (tolerance + ERRORS * error) for far, error in zip(distances, own, strict=True))
    return {
        **dict(zip(("loss", "gradient", "weights"), distances, strict=True)),
        "CPU's own error": own[1],
        "share of what is allowed": share,
        "holds": share <= 1,
    }


def cases(device: torch.device) -> Iterator[Case]:
    """Yields every system, and every estimator under every reading, in each precision."""
    chosen: list[tuple[str, str, dict[str, Any]]] = [(name, name, {"row": rows_of(name)}) for name in SYSTEMS.names()]
    for estimator in estimator_names():
        for reading in sorted(estimator_named(estimator).readings):
            how = {"row": "cifar-10", "estimator": estimator, "reading": reading}
            chosen.append((f"bsvm, {estimator}, {reading}", "bsvm", how))
    # The CPU itself has no distance from the CPU: only the errors of lower precisions are worth its time.
    for precision in list(PRECISIONS) if device != CPU else ["float32", "bfloat16"]:
        for name, system, how in chosen:
            yield Case(f"{name}, {precision}", partial(compared, device, precision, system, **how))
