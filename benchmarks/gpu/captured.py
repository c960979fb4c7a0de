"""A stack of trials whose step is captured as one CUDA graph, and replayed without Python and without launches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae.stacked import StackedTrainer
from vae.training import Trainer

WARM_UP = 3  # steps before the capture: they allocate Adam's state, and choose algorithms


class StaticStackedTrainer(StackedTrainer):
    """A stack of which nothing but the contents of tensors changes from step to step, as a graph's replay needs.

    Learning rates, the weight of the switches' KL and the batch are tensors that stay where they are. They are filled
    before the step, outside of what a graph captures; the schedule too moves on outside.
    """

    def __init__(self, trainers: Sequence[Trainer], batches: Mapping[str, Any], streams: Sequence[torch.Generator]):
        super().__init__(trainers)
        self._device = self.model.decoder.log_alpha.device
        self._streams = streams
        for group in self.optimizer.param_groups:
            group.update(capturable=True, lr=torch.full((), float(group["lr"]), device=self._device))
        self._switch_weight = torch.ones((), device=self._device)
        self._batches = mapped(torch.clone, batches)

    def warmed_up(self, share: float) -> Tensor:  # type: ignore[override]  # the same number, on the device
        return self._switch_weight

    def fill(self, batches: Mapping[str, Any]) -> None:
        """Puts a step's batch, learning rates and weight of the switches' KL where the step reads them."""
        mapped(lambda own, new: own.copy_(new), self._batches, batches)
        self._switch_weight.fill_(super().warmed_up(self.switch_warmup))

    def static_step(self) -> dict[str, Tensor]:
        """Takes a step on what was filled in; returns the parts of the objectives, each [T]."""
        return super().step_together(self._batches, self._streams)

    def step_together(self, batches: Mapping[str, Any], streams: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Takes one step of every trial, with random numbers from the streams that the stack was made with."""
        self.fill(batches)
        parts = self.static_step()
        self.schedule.step()
        return parts

    def _descend(
        self, loss: Tensor, parts: dict[str, Tensor], average: Callable[[nn.Module], None] | None = None
    ) -> dict[str, Tensor]:
        """Lowers the loss by one step of the optimiser alone."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._clip()
        self.optimizer.step()
        return parts


class CapturedStack:
    """A static stack behind a CUDA graph.

    Args:
        trainers: of the trials.
        batches: the stack's first batch, on which it takes its first `WARM_UP` steps.
        streams: the random stream of each trial; a replay goes on with their numbers.
    """

    def __init__(self, trainers: Sequence[Trainer], batches: Mapping[str, Any], streams: Sequence[torch.Generator]):
        self.trainer = StaticStackedTrainer(trainers, batches, streams)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.trainer.step_together(batches, streams)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        for stream in streams:
            self._graph.register_generator_state(stream)
        # Without gradients before it, the backward pass allocates them in the graph's own memory.
        self.trainer.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self._graph):
            self._parts = self.trainer.static_step()

    def step(self, batches: Mapping[str, Any]) -> dict[str, Tensor]:
        """Takes one step of every trial; the parts are overwritten by the next one."""
        self.trainer.fill(batches)
        self._graph.replay()
        self.trainer.schedule.step()
        return self._parts


def mapped(change: Callable[..., Tensor], first: Mapping[str, Any], *others: Mapping[str, Any]) -> dict[str, Any]:
    """Applies `change` to the tensors of nested mappings of the same names."""
    return {
        name: (mapped if isinstance(value, Mapping) else _called)(change, value, *(each[name] for each in others))
        for name, value in first.items()
    }


def _called(change: Callable[..., Tensor], *values: Tensor) -> Tensor:
    return change(*values)
