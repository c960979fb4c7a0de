"""A stack that a CUDA graph can capture computes what an ordinary stack computes; the graph itself needs a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.autoencoders import labelled_batch, trainer
from benchmarks.gpu.captured import StaticStackedTrainer
from benchmarks.gpu.throughput import graph_distance, streams
from vae.stacked import StackedTrainer
from vae.training import Trainer

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
STEPS, TRIALS = 6, 2


def trainers():
    """Trainers whose learning rates and weight of the switches' KL differ in each of the steps."""
    models = [trainer(CPU).model for _ in range(TRIALS)]
    rates = {"learning_rate": 0.01, "noise_learning_rate": 0.03}
    return [Trainer(each, total_steps=8, **rates, warmup=0.4, switch_warmup=0.7, weight_decay=0.1) for each in models]


def test_static_steps_are_ordinary_steps():
    torch.manual_seed(0)
    first, batches = trainers(), [labelled_batch(CPU, TRIALS) for _ in range(STEPS)]
    plain, static = StackedTrainer(first), StaticStackedTrainer(first, batches[0], streams(CPU, TRIALS))
    numbers = streams(CPU, TRIALS)
    for batch in batches:
        expected, found = plain.step_together(batch, numbers), static.step_together(batch, numbers)
        assert found.keys() == expected.keys()
        # The static stack keeps learning rates in single precision.
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(static.model.state_dict(), plain.model.state_dict(), rtol=1e-4, atol=1e-5)


def test_a_static_step_reads_what_was_filled_in_and_nothing_else():
    torch.manual_seed(0)
    batches = [labelled_batch(CPU, TRIALS) for _ in range(2)]
    stack = StaticStackedTrainer(trainers(), batches[0], streams(CPU, TRIALS))
    places = [group["lr"].data_ptr() for group in stack.optimizer.param_groups]
    stack.step_together(batches[0], [])
    rates = [group["lr"].item() for group in stack.optimizer.param_groups]
    stack.step_together(batches[1], [])
    assert [group["lr"].data_ptr() for group in stack.optimizer.param_groups] == places
    assert all(group["lr"].item() > before for group, before in zip(stack.optimizer.param_groups, rates, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a graph needs CUDA")
def test_a_graph_takes_the_steps_of_the_stack():
    assert graph_distance(torch.device("cuda"), TRIALS)["holds"]


@pytest.mark.slow
def test_a_step_on_another_device_mixes_no_devices_and_waits_for_none():
    command = [sys.executable, "-m", "tests.benchmarks.other_device"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("6 models and a stack of 3\n"), done.stdout + done.stderr
