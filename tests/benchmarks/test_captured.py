"""A stack that a CUDA graph can capture computes what an ordinary stack computes; the graph itself needs a GPU."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.autoencoders import labelled_batch
from benchmarks.gpu.captured import StaticStackedTrainer
from benchmarks.gpu.throughput import changing_trainers, graph_distance, streams, weights
from vae.stacked import StackedTrainer

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
STEPS, TRIALS = 4, 2


def test_static_steps_are_ordinary_steps():
    torch.manual_seed(0)
    first, batches = changing_trainers(CPU, TRIALS), [labelled_batch(CPU, TRIALS) for _ in range(STEPS)]
    plain, static = StackedTrainer(first), StaticStackedTrainer(first, batches[0], streams(CPU, TRIALS))
    numbers, begun = streams(CPU, TRIALS), copy.deepcopy(plain.model.state_dict())
    for batch in batches:
        expected, found = plain.step_together(batch, numbers), static.step_together(batch, numbers)
        assert found.keys() == expected.keys()
        # The static stack keeps learning rates in single precision.
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    start, found, expected = (weights(each) for each in (begun, static.model.state_dict(), plain.model.state_dict()))
    assert (found - expected).norm() < 1e-3 * (expected - start).norm()


def test_a_static_step_reads_what_was_filled_in_and_nothing_else():
    torch.manual_seed(0)
    batches = [labelled_batch(CPU, TRIALS) for _ in range(2)]
    stack = StaticStackedTrainer(changing_trainers(CPU, TRIALS), batches[0], streams(CPU, TRIALS))
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
