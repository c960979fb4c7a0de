"""Measures how the time and the memory of training grow with images, their side, classes and the labelled share.

    python -m benchmarks growth                        # about six minutes on two cores
    python -m benchmarks growth --only rows images     # some of the tables

A trial of `bsvm` with the settings of params.yaml is trained on random images, in a process of its own for each line,
on one thread. Beside a line's epochs, a 1024³ matrix product is timed in turn with them. Its time is the unit that
compares between machines. Exponents are slopes of a straight line through logarithms: 2 in the side is "as pixels".

- time: least CPU time of an epoch, over its images.
- memory: the highest resident memory while steps are taken, less what the process held before it made a network.
- trial: the same once the best weights are kept and a checkpoint was written.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from data.prepared.store import ImageStore
from experiments.learning.contract import SYSTEMS, Task
from experiments.learning.device import set_up
from experiments.settings.config import load
from experiments.trial_store.folders import TrialStore
from experiments.trials.training import Training
from vae.architecture import TABLE2, Architecture

SIDE = 1024  # of the product that is timed in turn
PARAMS = Path(__file__).parents[1] / "params.yaml"


@dataclass(frozen=True)
class Line:
    """A trial to measure; `at` is the size that the table is about."""

    at: float
    architecture: Architecture
    images: int
    batch: int
    labelled: int = 0  # labelled images; with none the trial learns from images alone, ξ = 0
    labelled_batch: int = 32
    classes: int = 10


@dataclass(frozen=True)
class Cost:
    """What a line costs: seconds an image, the same in products, weights, and bytes in steps and in the whole trial."""

    seconds: float
    products: float
    weights: int
    memory: int
    trial: int


def rows() -> list[Line]:
    """Rows of Table 2 at their own sides."""
    batches = {"mnist": 32, "cifar-10": 32, "caltech-101": 4, "flickr8k": 2, "imagenet": 2}
    return [
        Line(TABLE2[name].side, TABLE2[name], 8 * batch if batch == 32 else 2 * batch, batch)
        for name, batch in batches.items()
    ]


def sides(row: str, *sides: int) -> Callable[[], list[Line]]:
    """One row's layers at several sides."""
    return lambda: [Line(side, replace(TABLE2[row], side=side), 16, 4) for side in sides]


def classes() -> list[Line]:
    """MNIST's row with more and more classes."""
    return [Line(count, TABLE2["mnist"], 512, 32, 512, 128, count) for count in (10, 100, 1_000, 10_000)]


def share() -> list[Line]:
    """MNIST's row with 1 % to all of the labels."""
    return [Line(part, TABLE2["mnist"], 320, 32, round(320 * part), 128) for part in (0.01, 0.1, 1.0)]


def images() -> list[Line]:
    """MNIST's row with more and more images, without labels."""
    return [Line(count, TABLE2["mnist"], count, 32) for count in (1_000, 4_000, 16_000)]


TABLES: dict[str, tuple[str, Callable[[], list[Line]]]] = {
    "rows": ("side", rows),
    "sides-mnist": ("side", sides("mnist", 28, 64, 128, 256)),
    "sides-cifar-10": ("side", sides("cifar-10", 32, 64, 128, 256)),
    "sides-caltech-101": ("side", sides("caltech-101", 64, 128, 256)),
    "classes": ("classes", classes),
    "share": ("labelled share", share),
    "images": ("images", images),
}


def resident(what: str) -> int:
    """Returns bytes of this process by a name of Linux: VmRSS, that it holds now, or VmHWM, that it held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{what}:")).split()[1])


def made_up(line: Line, folder: Path) -> ImageStore:
    """Writes random images and opens them as a trial does, mapped into memory."""
    shape = (line.images + line.batch, line.architecture.side, line.architecture.side, line.architecture.channels)
    rng, path = np.random.default_rng(0), folder / "images.npy"
    written = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    for start in range(0, shape[0], 500):
        part = written[start : start + 500]
        part[:] = rng.integers(0, 256, part.shape, np.uint8)
    del written
    labels = rng.integers(0, line.classes, shape[0])
    names = tuple(map(str, range(line.classes)))
    return ImageStore(line.architecture.name, np.load(path, mmap_mode="r", allow_pickle=False), labels, names, "random")


def training_of(line: Line, folder: Path) -> Training:
    """Returns the training of a new trial; the images after the training ones are for validation."""
    TABLE2[line.architecture.name] = line.architecture  # in this process alone: the row at another side
    store, everything = made_up(line, folder), np.arange(line.images + line.batch)
    settings = (
        load(PARAMS)
        .settings["bsvm"]
        .model_copy(
            update={
                "architecture": line.architecture.name,
                "batch": line.batch,
                "labelled_batch": line.labelled_batch,
                "epochs": 1_000,
            }
        )
    )
    proportion = max(line.labelled, 1) / line.images
    axes = {"dataset": line.architecture.name, "system": "bsvm", "proportion": proportion, "repetition": 0}
    task = Task(
        store=store,
        train=everything[: line.images],
        labelled=everything[: max(line.labelled, 1)],
        validation=everything[line.images :],
        proportion=proportion,
        xi="auto" if line.labelled else 0.0,
        seed=0,
        axes=axes,
        device=torch.device("cpu"),
    )
    trial = TrialStore(folder / "store").folder("growth")
    trial.path.mkdir(parents=True)
    return Training(task, SYSTEMS.get("bsvm").learner(task, settings), trial)


def cpu_seconds(run: Callable[[], object]) -> float:
    """Returns the CPU time of a call in this process, which other processes hardly change."""
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(line: Line, rounds: int) -> Cost:
    """Trains a trial of that kind; runs in a process of its own."""
    set_up(threads=1, gpu=False)
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    left @ right
    with tempfile.TemporaryDirectory() as folder:
        before = resident("VmRSS")
        training, epochs, products = training_of(line, Path(folder)), [], []

        def steps(epoch: int) -> None:
            for _ in training.learner.epoch(epoch):
                pass

        for _ in islice(training.learner.epoch(0), 2):  # the first steps allocate memory
            pass
        for epoch in range(1, rounds + 1):
            products.append(cpu_seconds(lambda: left @ right))
            epochs.append(cpu_seconds(lambda epoch=epoch: steps(epoch)))  # type: ignore[misc]
        memory = resident("VmHWM") - before
        training.epoch()
        training.save(at_once=True)
        weights = sum(each.numel() for each in training.learner.model.parameters())
        each = min(epochs) / line.images
        return Cost(each, each / min(products), weights, memory, resident("VmHWM") - before)


def exponent(at: Sequence[float], costs: Sequence[float]) -> float:
    """Returns the slope of log cost over log size, by least squares."""
    return float(np.polyfit(np.log(at), np.log(costs), 1)[0])


def table(name: str, rounds: int) -> None:
    """Measures the lines of a table, one after another, and prints them and the exponents."""
    size, lines = TABLES[name]
    print(f"\n{name}\n{size:>14} {'batch':>6} {'ms/image':>9} {'products':>9} {'weights':>12} {'MiB':>7} {'trial':>7}")
    costs, made = [], lines()
    for line in made:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as own:
            cost = own.submit(measure, line, rounds).result()
        costs.append(cost)
        print(
            f"{line.at:>14,g} {line.batch:>6} {1000 * cost.seconds:>9,.2f} {cost.products:>9,.3f} "
            f"{cost.weights:>12,} {cost.memory / 2**20:>7,.0f} {cost.trial / 2**20:>7,.0f}",
            flush=True,
        )
    at = [line.at for line in made]
    slopes = {what: exponent(at, [getattr(cost, what) for cost in costs]) for what in ("products", "memory")}
    print(f"exponents in {size}: time an image {slopes['products']:.2f}, memory {slopes['memory']:.2f}")
    if name == "images":
        grown = (costs[-1].trial - costs[0].trial) / (at[-1] - at[0])
        print(f"a trial's memory for one more image: {grown:,.0f} bytes; the image has {made[0].architecture.values}")


def main() -> None:
    """Prints the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES), help="the tables to measure")
    parser.add_argument("--rounds", type=int, default=2, help="how often epoch and product are timed in turn")
    arguments = parser.parse_args()
    for name in arguments.only:
        table(name, arguments.rounds)


if __name__ == "__main__":
    main()
