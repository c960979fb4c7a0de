"""How many trials run at once, and what each of them gets of a machine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from data.errors import UserError
from experiments.provenance import cores
from experiments.settings.schema import Compute

STACKED_ON_GPU = 8  # trials that train as one program on a GPU (not measured yet); on CPUs that is no faster
WORKERS_PER_GPU = 8  # a trial of small images fills a fraction of a GPU, but each process holds half a GiB of it


@dataclass(frozen=True)
class Resources:
    """What trials get.

    Attributes:
        workers: trials that run at once.
        cpus: CPUs, and threads, of each trial.
        gpus: GPUs of each trial: 0, a share of one, or several.
        stack: trials that train as one program at most, where they can be stacked; they count as one.
        devices: devices that train one trial together; the trial gets `cpus` and `gpus` on each of them.
    """

    workers: int
    cpus: int
    gpus: float
    stack: int = 1
    devices: int = 1

    def __str__(self) -> str:
        gpus = f" and {self.gpus:.3g} GPU" if self.gpus else ""
        stacked = f", up to {self.stack} trained as one" if self.stack > 1 else ""
        devices = f"{self.devices} devices of " if self.devices > 1 else ""
        return f"{self.workers} at once, each on {devices}{self.cpus} CPU{gpus}{stacked}"


def gpus() -> list[str]:
    """Returns the models of the GPUs that PyTorch can use on this machine."""
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def of_this_machine(compute: Compute, spread: bool = False) -> Resources:
    """Returns what each trial gets on this machine.

    Args:
        compute: what params.yaml asks for.
        spread: whether a trial is trained on as many devices as params.yaml asks for, or else on one.

    Raises:
        UserError: more is asked for than the machine has.
    """
    asked = compute if spread else compute.model_copy(update={"devices_per_trial": None})
    return resolve(asked, cores(), torch.cuda.device_count())


def resolve(compute: Compute, cores: int, gpus: int, place: str = "this machine") -> Resources:
    """Returns what each trial gets at a place with that many CPU cores and GPUs; what `compute` leaves null is chosen.

    By default a trial gets 1 CPU, and as many trials run at once as there are CPUs. With GPUs, at most 8 trials run on
    each, and a trial gets the share of a GPU that all of them fit into. `place` is what messages call the place.

    Raises:
        UserError: more is asked for than the place has.
    """
    cpus = compute.cpus_per_trial or 1
    if cpus > cores:
        raise UserError(f"compute.cpus_per_trial = {cpus}: {place} has {cores} CPUs")
    if compute.devices_per_trial not in (None, 1):
        return _spread(compute, compute.devices_per_trial, cores // cpus, gpus, place)
    share = compute.gpus_per_trial
    if share and share > gpus:
        available = f"has {gpus}" if gpus else "has none that PyTorch can use"
        raise UserError(
            f"compute.gpus_per_trial = {share:g}: {place} {available}; "
            "set it to 0 to run on CPUs, or to null to have it chosen"
        )
    workers = compute.workers or max(1, cores // cpus)
    if share is None and gpus:
        workers = compute.workers or min(workers, WORKERS_PER_GPU * gpus)
        share = 1 / math.ceil(workers / gpus)
    elif share:
        room = math.floor(1 / share + 1e-9) * gpus if share <= 1 else int(gpus // share)
        workers = min(workers, room)
    return Resources(workers, cpus, share or 0.0, compute.stack or (STACKED_ON_GPU if share else 1))


def _spread(compute: Compute, devices: int, cpus: int, gpus: int, place: str) -> Resources:
    """Returns what trials get that have several devices each: whole GPUs, or CPUs where there are no GPUs.

    `cpus` is how many times `cpus_per_trial` fits into the place's cores.
    """
    share = compute.gpus_per_trial
    if share not in (None, 0.0, 1.0):
        raise UserError(
            f"compute.gpus_per_trial = {share:g}: where a trial has several devices (compute.devices_per_trial = "
            f"{devices}), each is a whole GPU: set it to null, to 1, or to 0 to run on CPUs"
        )
    on_gpus = share == 1.0 or (share is None and gpus > 0)
    most = min(cpus, gpus) if on_gpus else cpus
    if devices > most:
        held = f"{gpus} GPUs and " if on_gpus else ""
        raise UserError(f"compute.devices_per_trial = {devices}: {place} has {held}CPUs for {cpus} at once")
    workers = min(compute.workers or most, most // devices)
    return Resources(workers, compute.cpus_per_trial or 1, float(on_gpus), 1, devices)
