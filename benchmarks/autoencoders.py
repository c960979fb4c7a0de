"""Autoencoders with the shipped sizes, for timing, their operations, and batches of random numbers to train them on."""

from __future__ import annotations

import math
from typing import Any

import torch

from vae.architecture import Architecture, architecture_named
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import estimator_named
from vae.labels import BayesianSVM
from vae.model import VariationalAutoencoder
from vae.training import Trainer

BATCH, LABELLED, CLASSES = 32, 128, 10  # images and labelled images of a step, as in params.yaml
STEPS = 6 * 110  # training steps of a trial on mnist-5k
SWITCH_HIDDEN, CODE_HIDDEN = 9, 16


def trainer(device: torch.device, row: str = "mnist", factors: torch.dtype | None = None) -> Trainer:
    """Returns the trainer of a new model.

    Args:
        device: where it trains.
        row: of Table 2.
        factors: type that the factors of the convolutions are rounded to; None rounds nothing.
    """
    architecture = architecture_named(row)
    model = VariationalAutoencoder(
        architecture,
        Encoder(architecture, "relu", SWITCH_HIDDEN, CODE_HIDDEN, factors),
        Decoder(architecture, 2.3, factors),
        BayesianSVM(math.prod(architecture.code_shape), CLASSES, 1.0, 1.0),
        estimator_named("exact")(architecture),
        "factorised",
    ).to(device)
    rates = {"learning_rate": 1e-4, "noise_learning_rate": 1e-4}
    return Trainer(model, total_steps=10**6, **rates, warmup=0.01, switch_warmup=0.0, weight_decay=0.0, clip=1e9)


def training_flops(architecture: Architecture, decoded: bool = True) -> float:
    """Returns the floating-point operations of one image's forward and backward pass, two per multiplication.

    The backward pass costs a product once more for each gradient that it needs: that of the weights and that of the
    input, which the first layer does not need, since its input is the image.

    Args:
        decoded: whether the image is decoded, too; labelled images are only encoded.
    """
    encoder = decoder = 0
    channels = architecture.channels
    for index, (layer, sizes) in enumerate(zip(architecture.layers, architecture.sizes, strict=True)):
        convolution = layer.dictionary_size * channels * layer.kernel**2 * sizes.conv**2
        encoder += convolution * (2 if index == 0 else 3)
        decoder += 3 * convolution
        if layer.pooling > 1:
            values = layer.dictionary_size * sizes.pooled**2 * layer.pooling**2
            encoder += 3 * 2 * values * SWITCH_HIDDEN
            decoder += 2 * values * layer.pooling**2 if index == 0 else 0
        channels = layer.dictionary_size
    maps, side, _ = architecture.code_shape
    encoder += 3 * 3 * maps * side * side * CODE_HIDDEN
    return 2.0 * (encoder + (decoder if decoded else 0))


def labelled_batch(device: torch.device, *stack: int) -> dict[str, Any]:
    """Returns the batch of a step on MNIST's row, for `Batch.of`; for `labelled_batch(device, n)`, of a stack of n."""
    labelled = {
        "images": torch.rand(*stack, LABELLED, 1, 28, 28, device=device),
        "labels": torch.randint(CLASSES, (*stack, LABELLED), device=device),
        "total": torch.full(stack, 35.0, device=device) if stack else 35,
        "weight": torch.full(stack, 78.4, device=device) if stack else 78.4,
    }
    return {"images": torch.rand(*stack, BATCH, 1, 28, 28, device=device), "labelled": labelled}
