"""What a trial holds of a GPU's memory, measured where it is to run, and how many fit on one."""

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
from experiments.learning.device import let_go

MARGIN = 1.15  # of what a trial was seen to hold: its later steps, and gaps between its tensors
GIB = 2**30


@dataclass(frozen=True)
class Held:
    """Bytes of a GPU that a process holds for a system's trials: `images` once, `trial` for each that it trains."""

    images: int
    trial: int

    def by(self, trials: int) -> int:
        """What so many trials at once hold, their images and a margin with them."""
        return self.images + math.ceil(MARGIN * trials * self.trial)


@dataclass(frozen=True)
class Room:
    """Bytes: `free` on the fullest of the GPUs, and what a process holds of a GPU for itself, whatever it runs."""

    free: int
    process: int


class Meter:
    """The most that PyTorch held of a device since the last `start`; 0 where the device is no GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def start(self) -> None:
        """Forgets what was before."""
        let_go(self.device)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    @property
    def peak(self) -> int:
        """Bytes, with what the allocator keeps between tensors."""
        return torch.cuda.max_memory_reserved(self.device) if self.device.type == "cuda" else 0


def beside_tensors(device: torch.device) -> int:
    """Bytes of the GPU in use that are not this process's tensors: contexts, libraries, other processes."""
    free, total = torch.cuda.mem_get_info(device)
    return total - free - torch.cuda.memory_reserved(device)


def room(device: torch.device, grown: int) -> Room:
    """What is free on the GPUs that this process sees; `grown` is what libraries took since it began to use one.

    A second process is asked what it sees: this GPU then has as much less to give as a process holds, and no other
    GPU gets a process of ours that stays.
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


def fitting(chosen: Resources, held: Mapping[str, Held], stackable: set[str], there: Room, gpus: int) -> Resources:
    """The resources with as many trials on each of so many GPUs as it holds of the largest system's.

    Args:
        chosen: as many workers as CPUs and settings allow.
        held: by system.
        stackable: systems whose trials may be trained `chosen.stack` at a time.

    Raises:
        UserError: one trial of a system does not fit a whole GPU.
    """
    for system, each in held.items():
        if there.process + each.by(1) > there.free:
            raise UserError(too_large(system, f"{(there.process + each.by(1)) / GIB:.2f} GiB", there.free))
    stack = chosen.stack
    while stack > 1 and there.process + _largest(held, stackable, stack) > there.free:
        stack -= 1
    a_gpu = min(WORKERS_PER_GPU, there.free // max(1, there.process + _largest(held, stackable, stack)))
    workers = min(chosen.workers, a_gpu * gpus)
    return replace(chosen, workers=workers, gpus=1 / math.ceil(workers / gpus), stack=stack)


def _largest(held: Mapping[str, Held], stackable: set[str], stack: int) -> int:
    return max((each.by(stack if system in stackable else 1) for system, each in held.items()), default=0)


def too_large(system: str, need: str, free: int) -> str:
    """What to tell about a system of which not even one trial fits."""
    return (
        f"a trial of {system} needs {need} of a GPU, of which {free / GIB:.2f} GiB are free: make its batches smaller, "
        "spread each trial over several GPUs (compute.devices_per_trial, which splits the batches; gpus_per_trial of 2 "
        "would leave the second idle), or set compute.gpus_per_trial to 0 to run on CPUs"
    )
