"""How many trials an hour several processes train that share a device, one trial each, over one process alone.

Each process has its own CUDA context; the device switches between them. All take steps for the same few seconds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from functools import cache, partial
from multiprocessing.connection import Connection

import torch

from benchmarks.autoencoders import STEPS, labelled_batch, trainer
from benchmarks.gpu.cases import Case, Values
from experiments.learning.device import now, set_up
from vae.model import Batch

SECONDS = {"cuda": 3.0, "cpu": 1.0}  # of steps, in each case
WARM_UP = 5  # steps
PROCESSES = {"cuda": (1, 2, 4, 8), "cpu": (1, 2)}
BUNCH = 8  # steps between two looks at the clock, each of which waits for the device


def _train(kind: str, threads: int, asked: Connection) -> None:
    """Trains one trial whenever it is asked to, for so many seconds; answers with the steps a second.

    It ends where nobody is left to ask.
    """
    device = set_up(threads, gpu=kind == "cuda")
    subject, batch = trainer(device), Batch.of(labelled_batch(device))
    for _ in range(WARM_UP):
        subject.step(batch)
    asked.send(now(device))
    try:
        while True:
            asked.send(_rate(partial(subject.step, batch), device, asked.recv()))
    except (EOFError, BrokenPipeError):
        return


def _rate(step: Callable[[], object], device: torch.device, seconds: float) -> float:
    started, steps = now(device), 0
    while (passed := now(device) - started) < seconds:
        for _ in range(BUNCH if device.type == "cuda" else 1):
            step()
            steps += 1
    return steps / passed


class Trainees:
    """Processes that each train a trial when they are asked to, and wait otherwise."""

    def __init__(self, device: torch.device, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        threads = torch.get_num_threads() if device.type == "cuda" else 1
        self._asking: list[Connection] = []
        for _ in range(processes):
            ours, theirs = context.Pipe()
            context.Process(target=_train, args=(device.type, threads, theirs), daemon=True).start()
            theirs.close()
            self._asking.append(ours)
        for each in self._asking:
            each.recv()  # it is ready

    def rates(self, processes: int, seconds: float) -> list[float]:
        """Returns the steps a second of each of so many processes that train at the same time."""
        chosen = self._asking[:processes]
        for each in chosen:
            each.send(seconds)
        return [each.recv() for each in chosen]


@cache
def _trainees(device: torch.device) -> Trainees:
    return Trainees(device, max(PROCESSES[device.type]))


def shared_rate(device: torch.device, processes: int) -> Values:
    """Returns the trials an hour of so many processes, and over one alone, measured just before."""
    trainees, seconds = _trainees(device), SECONDS[device.type]
    (alone,), together = trainees.rates(1, seconds), trainees.rates(processes, seconds)
    return {
        "trials/h": 3600 / STEPS * sum(together),
        "over one alone": sum(together) / alone,
        "slowest over alone": min(together) / alone,
    }


def cases(device: torch.device) -> Iterator[Case]:
    """Yields every number of processes."""
    for processes in PROCESSES[device.type]:
        name = f"{processes} process{'es' if processes > 1 else ''}"
        yield Case(name, partial(shared_rate, device, processes), series="processes")
