"""Compares trials that are stacked into one program with the same trials run one at a time, on equal hardware.

    python -m benchmarks stacked                  # under three minutes on two cores
    python -m benchmarks stacked --threads 4

The trials are of the MNIST model, with batches as in params.yaml and without validation. For stacks of 1, 2, 4 and 8
trials this prints trials per hour stacked (one process with all the threads), trials per hour one at a time (on a CPU,
as many processes of one thread each), and their ratio.

Then it times three ways to compute a stack's encoder products, forward and backward, in turn: the batched block-wise
matrix product that `torch.vmap` makes of `vae.blocks`, a grouped convolution, and unfolding with a batched product.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.autoencoders import LABELLED, STEPS, labelled_batch, trainer
from experiments.learning.device import keep_freed_memory
from vae.architecture import TABLE2
from vae.blocks import block_matrix, windows_of
from vae.model import Batch
from vae.stacked import StackedTrainer

STACKS = (1, 2, 4, 8)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Returns the mean wall time of a call; waits until the device has finished all of them."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


_alone: list[Callable[[], object]] = []  # the training step of this process's own trial


def _set_up() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    own, batch = trainer(DEVICE), Batch.of(labelled_batch(DEVICE))
    _alone.append(lambda: own.step(batch))
    seconds(_alone[0], 3)


def _steps(repeats: int) -> float:
    return seconds(_alone[0], repeats)


def stacked_step(trials: int) -> Callable[[], object]:
    """Returns the training step of a stack of `trials` trials."""
    stack, batches = StackedTrainer([trainer(DEVICE) for _ in range(trials)]), labelled_batch(DEVICE, trials)
    streams = [torch.Generator(DEVICE) for _ in range(trials)]
    return lambda: stack.step_together(batches, streams)


def measure_trials(threads: int, rounds: int, repeats: int) -> None:
    """Times the stacks, and the trials one at a time, in turn, and prints their rates and ratios."""
    processes = threads if DEVICE.type == "cpu" else 1
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _set_up) as pool:
        stacks = {trials: stacked_step(trials) for trials in STACKS}
        alone: list[float] = []
        together: dict[int, list[float]] = {trials: [] for trials in STACKS}
        for turn in range(rounds + 1):
            one_by_one = sum(1 / each for each in pool.map(_steps, [4 * repeats] * processes))
            found = {trials: trials / seconds(step, max(2, repeats // trials)) for trials, step in stacks.items()}
            if turn:  # the first warms up
                alone.append(one_by_one)
                for trials, rate in found.items():
                    together[trials].append(rate)
    hourly = 3600 / STEPS
    print(f"one at a time in each of {processes} process(es): {hourly * statistics.median(alone):,.0f} trials an hour")
    for trials, rates in together.items():
        ratios = [rate / own for rate, own in zip(rates, alone, strict=True)]
        print(
            f"stacks of {trials}, {threads} thread(s): {hourly * statistics.median(rates):,.0f} trials an hour, ratio "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f} over {rounds} rounds)"
        )


def layer_products(trials: int, layer: int) -> dict[str, Callable[[], object]]:
    """Returns ways to convolve with a layer's filters and to propagate gradients back to filters and maps."""
    architecture = TABLE2["mnist"]
    row, sizes = architecture.layers[layer], architecture.sizes[layer]
    channels = architecture.layers[layer - 1].dictionary_size if layer else architecture.channels
    filters = torch.randn(trials, row.dictionary_size, channels, row.kernel, row.kernel, device=DEVICE)
    maps = torch.rand(trials, channels, sizes.input, sizes.input, LABELLED, device=DEVICE)
    by_image = maps.permute(4, 0, 1, 2, 3).contiguous()
    for leaf in (filters, maps, by_image):
        leaf.requires_grad_()

    def blocks(filters: Tensor, maps: Tensor) -> Tensor:
        return block_matrix(filters, row.pooling) @ windows_of(maps, row.kernel, row.pooling, sizes.pooled)

    def grouped() -> Tensor:
        return functional.conv2d(by_image.flatten(1, 2), filters.flatten(0, 1), groups=trials)

    def unfolded() -> Tensor:
        columns = functional.unfold(by_image.flatten(0, 1), row.kernel).unflatten(0, (LABELLED, trials))
        return filters.flatten(2) @ columns.permute(1, 2, 3, 0).flatten(2)

    def timed(forward: Callable[[], Tensor]) -> Callable[[], object]:
        def run() -> None:
            found = forward()
            found.backward(torch.ones_like(found))

        return run

    ways = {"blocks": lambda: torch.vmap(blocks)(filters, maps), "grouped": grouped, "unfold": unfolded}
    return {name: timed(way) for name, way in ways.items()}


def measure_products(rounds: int) -> None:
    """Times the three ways in turn, on both layers of the encoder together."""
    for trials in STACKS:
        ways = [layer_products(trials, layer) for layer in range(len(TABLE2["mnist"].layers))]
        times: dict[str, list[float]] = {name: [] for name in ways[0]}
        for turn in range(rounds + 1):
            for name, found in times.items():
                taken = sum(seconds(way[name], 1) for way in ways)
                if turn:
                    found.append(taken)
        own = statistics.median(times["blocks"])
        others = ", ".join(f"{name} {statistics.median(times[name]) / own:.2f}" for name in ("grouped", "unfold"))
        print(f"encoder products of {trials}: {1000 * own:.0f} ms by blocks; times that: {others}")


def main() -> None:
    """Measures on the GPU where there is one, and otherwise on CPU threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="number of CPU threads in total")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is timed in turn")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    print(f"on {torch.cuda.get_device_name() if DEVICE.type == 'cuda' else 'CPU'}")
    measure_trials(arguments.threads, arguments.rounds, repeats=4 if DEVICE.type == "cpu" else 64)
    measure_products(arguments.rounds)


if __name__ == "__main__":
    main()
