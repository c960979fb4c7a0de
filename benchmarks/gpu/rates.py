"""How fast the model trains: images a second, and what share they are of what the device can do.

MFU is the share of the rate of a large product in the same arithmetic. Operations are those of the equations, not those
that an implementation happens to spend. The share of the copy's rate counts the least traffic of a step: the maps of
the encoder and of the decoder, and the gradients of both, written once and read once, in float32. A step that has
nearly all of either share cannot become much faster on the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial

import torch

from benchmarks.autoencoders import trainer, training_flops
from benchmarks.gpu.cases import Case, Values
from benchmarks.gpu.timing import ARITHMETICS, arithmetics, copy_rate, multiplying_in, product_rate, timed
from vae.architecture import Architecture, architecture_named
from vae.model import Batch
from vae.training import Trainer

SECONDS = 0.6  # that a case is timed for
# Batches by row of Table 2; one whose predecessor did not fit is not tried. A CPU would take minutes for ImageNet's.
BATCHES: dict[str, dict[str, tuple[int, ...]]] = {
    "cuda": dict.fromkeys(("mnist", "cifar-10", "imagenet"), (32, 128, 512, 2048, 4096)),
    "cpu": {"mnist": (32, 128), "cifar-10": (32,)},
}


def traffic(architecture: Architecture) -> float:
    """Returns the least bytes that a step moves for an image."""
    passes = 2 * 2 * 2  # encoder and decoder, values and gradients, written and read
    return 4.0 * passes * architecture.map_values


@lru_cache(maxsize=1)
def _trainer(device: torch.device, row: str, factors: torch.dtype | None) -> Trainer:
    return trainer(device, row, factors)


def step_rate(device: torch.device, row: str, arithmetic: str, batch: int) -> Values:
    """Returns the rate of training steps on the bound of so many images, and its shares."""
    architecture, subject = architecture_named(row), _trainer(device, row, ARITHMETICS[arithmetic][0])
    peak, copied = product_rate(device, arithmetic), copy_rate(device)
    shape = (batch, architecture.channels, architecture.side, architecture.side)
    images = torch.rand(shape, device=device)
    with multiplying_in(arithmetic):
        seconds = timed({"step": lambda: subject.step(Batch(images))}, device, SECONDS)["step"]
    rate = batch / seconds
    return {
        "images/s": rate,
        "ms a step": 1000 * seconds,
        "TFLOP/s": rate * training_flops(architecture) / 1e12,
        "MFU": rate * training_flops(architecture) / peak,
        "share of the copy's rate": rate * traffic(architecture) / copied,
    }


def largest_product(device: torch.device, arithmetic: str) -> Values:
    """Returns the rate that MFU is a share of."""
    return {"TFLOP/s": product_rate(device, arithmetic) / 1e12}


def largest_copy(device: torch.device) -> Values:
    """Returns the rate of a copy within the device's memory, bytes read and bytes written together."""
    return {"GB/s": copy_rate(device) / 1e9}


def cases(device: torch.device) -> Iterator[Case]:
    """Yields the two rates of the device, then every row of Table 2, arithmetic and batch."""
    for arithmetic in arithmetics(device):
        yield Case(f"product, {arithmetic}", partial(largest_product, device, arithmetic))
    yield Case("copy", partial(largest_copy, device))
    for row, batches in BATCHES[device.type].items():
        for arithmetic in arithmetics(device):
            for batch in batches:
                measure = partial(step_rate, device, row, arithmetic, batch)
                yield Case(f"{row}, {arithmetic}, batch {batch:,}", measure, series=f"{row}, {arithmetic}")
