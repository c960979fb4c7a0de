"""Compares the training step of the MNIST model with a large matrix product on the same threads.

    python benchmarks/training_step.py            # all cores, then one
    python benchmarks/training_step.py --batch 128

Prints images per second, the model's floating-point operations per second, those of a 2048³ product that is timed in
turn with it, and their ratio, which is the figure to compare between machines. Then it times the step with factors in
bfloat16 against the step in float32, in turn, on a GPU where there is one. Operations are those of the equations (k²
products per value of a valid convolution, and so on), not those that an implementation happens to spend.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable

import torch

from experiments.learning.device import device_name, keep_freed_memory, now
from vae.architecture import TABLE2, Architecture
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import estimator_named
from vae.labels import BayesianSVM
from vae.model import Batch, VariationalAutoencoder
from vae.training import Trainer

SWITCH_HIDDEN, CODE_HIDDEN, SIDE = 9, 16, 2048
CPU = torch.device("cpu")


def training_flops(architecture: Architecture) -> float:
    """Returns the floating-point operations of one image's forward and backward pass, two per multiplication.

    The backward pass costs a product once more for each gradient that it needs: that of the weights and that of the
    input, which the first layer does not need, since its input is the image.
    """
    forward = backward = 0
    channels = architecture.channels
    for index, (layer, sizes) in enumerate(zip(architecture.layers, architecture.sizes, strict=True)):
        convolution = layer.dictionary_size * channels * layer.kernel**2 * sizes.conv**2
        forward += 2 * convolution  # encoder and decoder
        backward += convolution * (1 if index == 0 else 2) + 2 * convolution
        if layer.pooling > 1:
            values = layer.dictionary_size * sizes.pooled**2 * layer.pooling**2
            network = 2 * values * SWITCH_HIDDEN
            quadratic = values * layer.pooling**2 if index == 0 else 0
            forward += network + quadratic
            backward += 2 * network + quadratic
        channels = layer.dictionary_size
    maps, side, _ = architecture.code_shape
    network = 3 * maps * side * side * CODE_HIDDEN
    return 2.0 * (forward + backward + 3 * network)


def model_step(batch: int, device: torch.device = CPU, factors: torch.dtype | None = None) -> Callable[[], object]:
    """Returns an optimisation step of the MNIST model on the bound of `batch` images."""
    architecture = TABLE2["mnist"]
    torch.manual_seed(0)
    model = VariationalAutoencoder(
        architecture,
        Encoder(architecture, "relu", SWITCH_HIDDEN, CODE_HIDDEN, factors),
        Decoder(architecture, 2.3, factors),
        BayesianSVM(math.prod(architecture.code_shape), 10, precision=1.0, gamma=1.0),
        estimator_named("exact")(architecture),
        "factorised",
    ).to(device)
    rates = {"learning_rate": 1e-4, "noise_learning_rate": 1e-4}
    trainer = Trainer(model, total_steps=10**6, **rates, warmup=0.01, switch_warmup=0.0, weight_decay=0.0)
    images = torch.rand(batch, 1, 28, 28, device=device)
    return lambda: trainer.step(Batch(images))


def seconds(run: Callable[[], object], repeats: int, device: torch.device = CPU) -> float:
    """Returns the mean wall time of a call."""
    start = now(device)
    for _ in range(repeats):
        run()
    return (now(device) - start) / repeats


def measure(threads: int, batch: int, rounds: int) -> None:
    """Times step and product in turn and prints the medians of both and of their ratio."""
    torch.set_num_threads(threads)
    step = model_step(batch)
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    per_image = training_flops(TABLE2["mnist"])
    seconds(step, 5)
    steps, products = [], []
    for _ in range(rounds):
        steps.append(seconds(step, 10))
        products.append(seconds(lambda: left @ right, 2))
    ratios = [(batch * per_image / s) / (2 * SIDE**3 / p) for s, p in zip(steps, products, strict=True)]
    rate = batch / statistics.median(steps)
    print(
        f"{threads} thread(s), batch {batch}: {rate:,.0f} images/s, {rate * per_image / 1e9:.1f} GFLOP/s; product "
        f"{2 * SIDE**3 / statistics.median(products) / 1e9:.0f} GFLOP/s; ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f} over {rounds} rounds)"
    )


def compare(batch: int, rounds: int) -> None:
    """Times the step in float32 and bfloat16 in turn and prints the medians of both and of their ratio."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    whole, rounded = (model_step(batch, device, factors) for factors in (None, torch.bfloat16))
    times = []
    for turn in range(rounds + 1):
        pair = seconds(whole, 10, device), seconds(rounded, 10, device)
        times += [pair] if turn else []  # the first pair allocates memory
    slow, fast = (batch / statistics.median(column) for column in zip(*times, strict=True))
    ratios = [one / other for one, other in times]
    print(
        f"{device_name(device)}, batch {batch}: float32 {slow:,.0f} images/s, bfloat16 {fast:,.0f}; bfloat16 is "
        f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f} over {rounds} rounds)"
    )


def main() -> None:
    """Measures with all cores, then with one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, help="images per step")
    parser.add_argument("--rounds", type=int, default=7, help="how often step and product are timed in turn")
    arguments = parser.parse_args()
    keep_freed_memory()
    print(f"{training_flops(TABLE2['mnist']) / 1e6:.1f} MFLOP an image, forward and backward")
    for threads in sorted({torch.get_num_threads(), 1}, reverse=True):
        measure(threads, arguments.batch, arguments.rounds)
    compare(arguments.batch, arguments.rounds)


if __name__ == "__main__":
    main()
