"""The processes that train one trial together, each on a device of its own and with its part of every batch."""

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
    """This process's place among the `count` that train a trial; alone, it does as if there were no others.

    All of them have the same weights at every step. The others speak through PyTorch's default process group.
    """

    index: int = 0
    count: int = 1

    def part(self, rows: Rows) -> Rows:
        """This process's part of a batch; parts differ by one row at most. UserError where there are too few rows."""
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
        """A seed of this process's own for what is drawn for its part of a batch; the seed itself where it is alone."""
        return seed if self.count == 1 else seed_of("rank", seed=seed, rank=self.index)

    def average(self, model: nn.Module, share: float) -> None:
        """Makes all processes' gradients their mean, weighted by the share of the batch that each of them had."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        whole = torch.cat([gradient.flatten() for gradient in gradients]).mul_(share)
        distributed.all_reduce(whole)
        for gradient, summed in zip(gradients, whole.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def agree(self, model: nn.Module) -> None:
        """Gives all processes the first one's running statistics, which each keeps of its parts of the batches."""
        if self.count > 1:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def mean(self, row: Mapping[str, float]) -> dict[str, float]:
        """The mean of all processes' rows, weighted by their `images`, which are added up."""
        if self.count == 1:
            return dict(row)
        rows: list[dict[str, float]] = [{}] * self.count
        distributed.all_gather_object(rows, dict(row))
        images = sum(each["images"] for each in rows)
        means = {name: sum(each[name] * each["images"] for each in rows) / images for name in row}
        return {**means, "images": images}

    def told(self, value: Any) -> Any:
        """The first process's value, in all of them; its tensors on the CPU."""
        if self.count == 1:
            return value
        written = io.BytesIO()
        if self.index == 0:
            torch.save(value, written)
        heard = [written.getvalue()]
        distributed.broadcast_object_list(heard, src=0)
        return torch.load(io.BytesIO(heard[0]), map_location="cpu", weights_only=True)


ALONE = Ranks()
