"""How many trials an hour a device trains, one at a time and in stacks, with and without a CUDA graph.

Trials are those of `python -m benchmarks stacked`: MNIST's model, its batches, 660 steps. In each case one trial alone,
the stack, and the stack behind a graph take steps in turn. Two cases before them check that a stack and a graph lead to
the weights that trials alone and stacks without a graph lead to.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.autoencoders import STEPS, labelled_batch, trainer
from benchmarks.gpu.captured import WARM_UP, CapturedStack, mapped
from benchmarks.gpu.cases import Case, LeftOut, Values
from benchmarks.gpu.timing import timed
from experiments.learning.randomness import seeded
from vae.model import Batch
from vae.stacked import StackedTrainer
from vae.training import Trainer

SECONDS = 0.9  # that each of the three is timed for
STACKS = {"cuda": (1, 2, 4, 8, 16, 32, 64), "cpu": (1, 2)}
COMPARED = 5  # steps after which weights are compared with those of the same steps taken in another way
NEAR = 1e-2  # how far apart they may be, over how far they have moved
# Rates and a weight of the switches' KL that change from step to step, as a graph must follow them.
CHANGING: dict[str, Any] = {
    "total_steps": 12,
    "learning_rate": 0.01,
    "noise_learning_rate": 0.03,
    "warmup": 0.4,
    "switch_warmup": 0.7,
    "weight_decay": 0.1,
    "clip": 10.0,
}


def streams(device: torch.device, trials: int) -> list[torch.Generator]:
    """Returns the random streams of so many trials, at their start."""
    return [torch.Generator(device).manual_seed(trial) for trial in range(trials)]


def changing_trainers(device: torch.device, trials: int) -> list[Trainer]:
    """Returns trainers of new models whose learning rates change from step to step."""
    return [Trainer(trainer(device).model, **CHANGING) for _ in range(trials)]


def stack_rates(device: torch.device, trials: int) -> Values:
    """Returns trials an hour of a stack, and over one at a time."""
    alone, batch, batches = trainer(device), Batch.of(labelled_batch(device)), labelled_batch(device, trials)
    stack, numbers = StackedTrainer([trainer(device) for _ in range(trials)]), streams(device, trials)
    runs = {"alone": lambda: alone.step(batch), "stacked": lambda: stack.step_together(batches, numbers)}
    if device.type == "cuda":
        captured = CapturedStack([trainer(device) for _ in range(trials)], batches, streams(device, trials))
        runs["graph"] = lambda: captured.step(batches)
    seconds = timed(runs, device, SECONDS)
    hourly = {name: 3600 / STEPS * (1 if name == "alone" else trials) / each for name, each in seconds.items()}
    return {
        **{f"{name}, trials/h": rate for name, rate in hourly.items()},
        **{f"{name} over alone": rate / hourly["alone"] for name, rate in hourly.items() if name != "alone"},
    }


def stack_distance(device: torch.device, trials: int) -> Values:
    """Returns how far apart the same steps in a stack and alone lead, over how far they lead."""
    torch.manual_seed(0)
    batches, alone = labelled_batch(device, trials), changing_trainers(device, trials)
    stack, numbers = StackedTrainer(alone), streams(device, trials)
    start = torch.cat([weights(each.model.state_dict()) for each in alone])
    for _ in range(COMPARED):
        stack.step_together(batches, numbers)
    for trial, each in enumerate(alone):
        own = Batch.of(mapped(operator.itemgetter(trial), batches))
        with seeded(trial, device):
            for _ in range(COMPARED):
                each.step(own)
    one = torch.cat([weights(state["model"]) for state in stack.states()])
    other = torch.cat([weights(each.model.state_dict()) for each in alone])
    return _verdict(one, other, start)


def graph_distance(device: torch.device, trials: int) -> Values:
    """Returns how far apart the same steps with and without a graph lead, over how far they lead.

    They do not lead to the same digits: a graph keeps the learning rate in float32.
    """
    if device.type != "cuda":
        raise LeftOut("a graph needs CUDA")
    torch.manual_seed(0)
    batches, first = labelled_batch(device, trials), changing_trainers(device, trials)
    plain, numbers = StackedTrainer(first), streams(device, trials)
    start = weights(plain.model.state_dict()).clone()
    captured = CapturedStack(first, batches, streams(device, trials))
    for _ in range(WARM_UP + COMPARED):
        plain.step_together(batches, numbers)
    for _ in range(COMPARED):
        captured.step(batches)
    one, other = (weights(each.model.state_dict()) for each in (captured.trainer, plain))
    return _verdict(one, other, start)


def _verdict(one: Tensor, other: Tensor, start: Tensor) -> Values:
    apart = ((one - other).norm() / (other - start).norm()).item()
    return {"apart over moved": apart, "holds": apart < NEAR}


def weights(state: Mapping[str, Any]) -> Tensor:
    """Returns all weights of a state as one vector."""
    return torch.cat([each.flatten() for each in state.values()])


def cases(device: torch.device) -> Iterator[Case]:
    """Yields the checks of a stack and of a graph, then every stack."""
    yield Case("a stack's weights", partial(stack_distance, device, 2))
    yield Case("a graph's weights", partial(graph_distance, device, 2))
    for trials in STACKS[device.type]:
        yield Case(f"stack of {trials}", partial(stack_rates, device, trials), series="stacks")
