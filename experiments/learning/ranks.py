"""Ranks: the processes that train one trial together, each on its own device with its part of every batch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from data.errors import UserError
from data.seeds import seed_of

Rows = TypeVar("Rows", np.ndarray, Tensor)


@dataclass(frozen=True)
class Ranks:
    """This process's place among the `count` processes that train one trial.

    All have the same weights at every step. They communicate through PyTorch's default process group; a process that
    is alone (`count` is 1) communicates with nobody.
    """

    index: int = 0
    count: int = 1

    def part(self, rows: Rows) -> Rows:
        """Returns this process's part of a batch; parts differ by one row at most.

        Raises:
            UserError: the batch has fewer rows than there are processes.
        """
        if len(rows) < self.count:
            raise UserError(
                f"a batch of {len(rows)} images cannot be spread over {self.count} devices: make batches larger, or "
                "compute.devices_per_trial smaller"
            )
        if self.count == 1:
            return rows
        size, longer = divmod(len(rows), self.count)
        start = self.index * size + min(self.index, longer)
        return rows[start : start + size + (self.index < longer)]

    def seed(self, seed: int) -> int:
        """Returns this process's own seed for what it draws for its part of a batch; `seed` itself if it is alone."""
        return seed if self.count == 1 else seed_of("rank", seed=seed, rank=self.index)

    def average(self, model: nn.Module, share: float) -> None:
        """Replaces the gradients of all processes by their mean, weighted by each one's `share` of the batch."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        whole = torch.cat([gradient.flatten() for gradient in gradients]).mul_(share)
        distributed.all_reduce(whole)
        for gradient, summed in zip(gradients, whole.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Gives all processes the buffers of the first: running statistics, which each keeps of its own parts."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def mean(self, row: Mapping[str, float]) -> dict[str, float]:
        """Returns the mean of all processes' rows of scalars, weighted by their `images`; `images` is the sum."""
        if self.count == 1:
            return dict(row)
        rows: list[dict[str, float]] = [{}] * self.count
        distributed.all_gather_object(rows, dict(row))
        images = sum(each["images"] for each in rows)
        means = {name: sum(each[name] * each["images"] for each in rows) / images for name in row}
        return {**means, "images": images}

    def broadcast(self, value: Any) -> Any:
        """Returns the value of the first process, in all of them, with its tensors on the CPU.

        `value` has tensors and plain values only; that of other processes than the first is ignored.
        """
        if self.count == 1:
            return value
        buffer = io.BytesIO()
        if self.index == 0:
            torch.save(value, buffer)
        contents = [buffer.getvalue()]
        distributed.broadcast_object_list(contents, src=0)
        return torch.load(io.BytesIO(contents[0]), map_location="cpu", weights_only=True)


ALONE = Ranks()
