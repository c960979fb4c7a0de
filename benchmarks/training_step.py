"""Compares training steps with a large matrix product that is timed in turn with them.

    python -m benchmarks training_step            # about two minutes
    python -m benchmarks training_step --rounds 3

First come steps of the MNIST model on the bound of 32 to 256 images, on one thread (what a trial gets) and at 64 images
on all cores; then whole steps of trials with the settings of params.yaml, on images of 28 × 28: data, augmentation,
gradients and update. For each it prints images per second, floating-point operations per second, those of a 2048³
product, and their ratio, which is the figure to compare between machines. On one thread the times are those that the
processor spent on this process, so that other processes disturb them less.

Operations are those of the equations (k² products per value of a valid convolution, and so on). How many more the
implementation spends is printed as well. At the end the step with factors in bfloat16 is timed against the step in
float32, in turn, on a GPU where there is one.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.autoencoders import CODE_HIDDEN, SWITCH_HIDDEN, training_flops
from data.prepared.store import ImageStore
from experiments.learning.contract import SYSTEMS, Learner, Task
from experiments.learning.device import device_name, keep_freed_memory, now
from experiments.settings.config import load
from vae.architecture import TABLE2
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import estimator_named
from vae.labels import BayesianSVM
from vae.model import Batch, VariationalAutoencoder
from vae.training import Trainer

SIDE = 2048
BATCHES, SYSTEMS_TIMED = (32, 64, 128, 256), ("bsvm", "alexnet", "googlenet")
MNIST = TABLE2["mnist"]
PARAMS = Path(__file__).parents[1] / "params.yaml"
CPU = torch.device("cpu")

Step = Callable[[], object]


def model_step(
    batch: int, device: torch.device = CPU, factors: torch.dtype | None = None, dtype: torch.dtype = torch.float32
) -> Step:
    """Returns an optimisation step of the MNIST model on the bound of `batch` images."""
    torch.manual_seed(0)
    model = VariationalAutoencoder(
        MNIST,
        Encoder(MNIST, "relu", SWITCH_HIDDEN, CODE_HIDDEN, factors),
        Decoder(MNIST, 2.3, factors),
        BayesianSVM(math.prod(MNIST.code_shape), 10, precision=1.0, gamma=1.0),
        estimator_named("exact")(MNIST),
        "factorised",
    ).to(device, dtype)
    rates = {"learning_rate": 1e-4, "noise_learning_rate": 1e-4}
    trainer = Trainer(model, total_steps=10**6, **rates, warmup=0.01, switch_warmup=0.0, weight_decay=0.0, clip=1e9)
    images = torch.rand(batch, 1, 28, 28, device=device, dtype=dtype)
    return lambda: trainer.step(Batch(images))


def learner_of(system: str) -> Learner:
    """Returns a learner with the settings of params.yaml on 5,000 images of noise, 500 of them labelled."""
    noise, count = np.random.default_rng(0), 5000
    images = noise.integers(0, 256, (count, 28, 28, 1), dtype=np.uint8)
    store = ImageStore("noise", images, np.arange(count) % 10, tuple("0123456789"), "none")
    kind, every = SYSTEMS.get(system), np.arange(count)
    axes = {"dataset": "mnist-5k", "system": system, "proportion": 0.1, "repetition": 0}
    task = Task(store, every, every[:500], every[:100], 0.1, "auto" if kind.uses_xi else None, 0, axes, CPU)
    return kind.learner(task, load(PARAMS).settings[system])


def steps_of(learner: Learner) -> Iterator[Any]:
    """Yields what each step of the learner reports, epoch after epoch."""
    return itertools.chain.from_iterable(learner.epoch(epoch) for epoch in itertools.count())


def trial_step(system: str) -> tuple[Step, float, float]:
    """Returns a step of a trial, its images, and its operations."""
    learner = learner_of(system)
    steps = steps_of(learner)
    with FlopCounterMode(display=False) as counted:
        images = float(next(steps)["images"])
    if system != "bsvm":  # PyTorch's own layers spend what their equations say
        return lambda: next(steps), images, counted.get_total_flops()
    labelled = load(PARAMS).settings[system].labelled_batch
    operations = images * training_flops(MNIST) + labelled * training_flops(MNIST, decoded=False)
    return lambda: next(steps), images, operations


def spent_over_needed(batch: int = 8) -> float:
    """Returns the operations that a step's products spend, over those of the equations.

    They are counted in double precision, where PyTorch computes all products: the compiled kernels compute the same.
    """

    def in_place(own: Any, left: torch.Size, right: torch.Size, **_: Any) -> int:
        return 2 * math.prod(left) * right[-1]

    step = model_step(batch, dtype=torch.float64)
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.baddbmm_: in_place}) as counted:
        step()
    return counted.get_total_flops() / (batch * training_flops(MNIST))


def seconds(run: Step, repeats: int, device: torch.device = CPU) -> float:
    """Returns the mean time of a call: the processor's on one thread, or else the wall's."""
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else lambda: now(device)
    start = clock()
    for _ in range(repeats):
        run()
    return (clock() - start) / repeats


def measure(name: str, step: Step, images: float, operations: float, rounds: int) -> None:
    """Times a step and the product in turn and prints the medians of both and of their ratio."""
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    seconds(step, 5)
    steps, products = [], []
    for _ in range(rounds):
        steps.append(seconds(step, 10))
        products.append(seconds(lambda: left @ right, 2))
    ratios = [(operations / s) / (2 * SIDE**3 / p) for s, p in zip(steps, products, strict=True)]
    taken, product = statistics.median(steps), 2 * SIDE**3 / statistics.median(products)
    print(
        f"{name}: {images / taken:,.0f} images/s, {operations / taken / 1e9:.1f} GFLOP/s; product "
        f"{product / 1e9:.0f} GFLOP/s; ratio {statistics.median(ratios):.2f} "
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
    """Measures all steps on one thread, then one on all cores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often step and product are timed in turn")
    rounds = parser.parse_args().rounds
    keep_freed_memory()
    cores, per_image = torch.get_num_threads(), training_flops(MNIST)
    print(f"{per_image / 1e6:.1f} MFLOP an image, forward and backward; {spent_over_needed():.2f} times that are spent")
    torch.set_num_threads(1)
    for batch in BATCHES:
        measure(f"model, 1 thread, batch {batch}", model_step(batch), batch, batch * per_image, rounds)
    for system in SYSTEMS_TIMED:
        measure(f"trial of {system}, 1 thread", *trial_step(system), rounds)
    if cores > 1:
        torch.set_num_threads(cores)
        measure(f"model, {cores} threads, batch 64", model_step(64), 64, 64 * per_image, rounds)
    compare(64, rounds)


if __name__ == "__main__":
    main()
