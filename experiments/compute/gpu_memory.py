"""The GPU memory that a trial holds, measured where it is to run, and how many trials fit on one GPU."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from data.errors import UserError
from experiments.compute.resources import WORKERS_PER_GPU, Resources
from experiments.learning.device import release_memory

MARGIN = 1.15  # times what was measured: for later steps, and for gaps between tensors
GIB = 2**30


@dataclass(frozen=True)
class Held:
    """The bytes of a GPU that a process holds for trials of a system: `images` once, and `trial` for each of them."""

    images: int
    trial: int

    def by(self, trials: int) -> int:
        """Returns the bytes that so many trials hold at once, with the images and a margin."""
        return self.images + math.ceil(MARGIN * trials * self.trial)


@dataclass(frozen=True)
class Room:
    """Bytes of GPU memory: `free` on the fullest GPU, and `process`, which each process holds whatever it runs."""

    free: int
    process: int


class Meter:
    """Measures the most memory that PyTorch held of a device since the last `start`; 0 where it is no GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def start(self) -> None:
        """Starts a new measurement."""
        release_memory(self.device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    @property
    def peak(self) -> int:
        """The peak in bytes, with what the allocator keeps between tensors."""
        return torch.cuda.max_memory_reserved(self.device) if self.device.type == "cuda" else 0


def beside_tensors(device: torch.device) -> int:
    """Returns the bytes of a GPU in use that are not this process's tensors: contexts, libraries, other processes."""
    free, total = torch.cuda.mem_get_info(device)
    return total - free - torch.cuda.memory_reserved(device)


def room(device: torch.device, grown: int) -> Room:
    """Measures what is free on the GPUs that this process sees.

    A second process looks at the GPUs: what it sees less of on this process's GPU is what a process holds for itself.
    It ends at once, so no process of ours stays on another GPU.

    Args:
        device: the GPU that this process uses.
        grown: bytes that libraries have taken of it since this process began to use it.
    """
    before = torch.cuda.mem_get_info(device)[0]
    seen = _free_in_another_process()
    context = max(0, before - seen[device.index or 0])
    return Room(min(seen) + context, context + max(0, grown))


def _free_in_another_process() -> list[int]:
    look = (
        "import json, torch; gpus = range(torch.cuda.device_count()); "
        "print(json.dumps([torch.cuda.mem_get_info(gpu)[0] for gpu in gpus]))"
    )
    return json.loads(subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout)


def fitting(chosen: Resources, held: Mapping[str, Held], stackable: set[str], room: Room, gpus: int) -> Resources:
    """Returns the resources with as many workers on each GPU as fit of the system that holds the most memory.

    Args:
        chosen: resources with as many workers as CPUs and settings allow.
        held: the memory that trials hold, by system.
        stackable: systems whose trials may be trained `chosen.stack` at a time.
        room: the memory of the GPUs.
        gpus: the number of GPUs.

    Raises:
        UserError: one trial of a system does not fit a whole GPU.
    """
    for system, each in held.items():
        if room.process + each.by(1) > room.free:
            raise UserError(too_large(system, f"{(room.process + each.by(1)) / GIB:.2f} GiB", room.free))
    stack = chosen.stack
    while stack > 1 and room.process + _largest(held, stackable, stack) > room.free:
        stack -= 1
    a_gpu = min(WORKERS_PER_GPU, room.free // max(1, room.process + _largest(held, stackable, stack)))
    workers = min(chosen.workers, a_gpu * gpus)
    return replace(chosen, workers=workers, gpus=1 / math.ceil(workers / gpus), stack=stack)


def _largest(held: Mapping[str, Held], stackable: set[str], stack: int) -> int:
    return max((each.by(stack if system in stackable else 1) for system, each in held.items()), default=0)


def too_large(system: str, need: str, free: int) -> str:
    """Words the refusal of a system of which not even one trial fits."""
    return (
        f"a trial of {system} needs {need} of a GPU, of which {free / GIB:.2f} GiB are free: make its batches smaller, "
        "spread each trial over several GPUs (compute.devices_per_trial, which splits the batches; gpus_per_trial of 2 "
        "would leave the second idle), or set compute.gpus_per_trial to 0 to run on CPUs"
    )
