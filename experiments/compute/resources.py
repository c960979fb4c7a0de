"""How many trials run at once, and what each of them gets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from data.errors import UserError
from experiments.provenance import cores
from experiments.settings.schema import Compute

STACKED_ON_GPU = 8  # trials that train as one there (not measured yet); on CPUs they are no faster so
WORKERS_PER_GPU = 8  # a trial of small images fills a fraction of a GPU, but each process holds half a GiB of it


@dataclass(frozen=True)
class Resources:
    """`workers` trials at once, each with `cpus` CPUs, as many threads, and `gpus`: 0, a share of one, or several; up
    to `stack` trials, where they can be stacked, count as one. A trial that has several `devices` gets that on each."""

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
    """Models of the GPUs that PyTorch can use here."""
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


def here(compute: Compute, spread: bool = False) -> Resources:
    """What each trial gets on this machine; one device, unless they are to be `spread` over as many as the params ask
    for. UserError where the params ask for more than there is."""
    asked = compute if spread else compute.model_copy(update={"devices_per_trial": None})
    return resolve(asked, cores(), torch.cuda.device_count())


def resolve(compute: Compute, cores: int, gpus: int, place: str = "this machine") -> Resources:
    """What `compute` asks for at a place with that many CPU cores and GPUs; what is null is chosen.

    A trial gets 1 CPU; there are as many workers as CPUs hold, or, with GPUs, at most 8 for each GPU, and
    then a trial gets the share of a GPU that lets all of them in. UserError where more is asked for than there is.
    """
    cpus = compute.cpus_per_trial or 1
    if cpus > cores:
        raise UserError(f"compute.cpus_per_trial = {cpus}: {place} has {cores} CPUs")
    if compute.devices_per_trial not in (None, 1):
        return _spread(compute, compute.devices_per_trial, cores // cpus, gpus, place)
    share = compute.gpus_per_trial
    if share and share > gpus:
        found = f"has {gpus}" if gpus else "has none that PyTorch can use"
        raise UserError(
            f"compute.gpus_per_trial = {share:g}: {place} {found}; "
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
    """What trials get of which each has several devices: whole GPUs, or, without any, `cpus` of the place's."""
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
