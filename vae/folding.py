"""Functions that work on a stack of trials in one go, and are told so by `torch.vmap`.

Trials that differ in their weights, images and random numbers alone can be one program with one more dimension. For
PyTorch's own functions `torch.vmap` finds that program; the model's own ones, which it cannot look into, say here
what to do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Folded(torch.autograd.Function):
    """A function of tensors whose leading dimension may hold several trials' one behind another: `torch.vmap`'s
    dimension is folded into it, and results are unfolded again."""

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        folded = [
            _folded(argument, dim, info.batch_size) if isinstance(argument, Tensor) else argument
            for argument, dim in zip(arguments, in_dims, strict=True)
        ]
        found = cls.apply(*folded)
        if isinstance(found, Tensor):
            return found.unflatten(0, (info.batch_size, -1)), 0
        return tuple(each.unflatten(0, (info.batch_size, -1)) for each in found), (0,) * len(found)


def _folded(tensor: Tensor, dim: int | None, trials: int) -> Tensor:
    """[T·n, …] of n values in the leading dimension for each of T trials; the same for all where `dim` is None."""
    stacked = tensor.expand(trials, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return stacked.flatten(0, 1)
