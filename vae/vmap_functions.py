"""Autograd functions that can run for a stack of trials at once under `torch.vmap`.

Trials that differ only in weights, images and random numbers can run as one program with one more dimension.
`torch.vmap` derives that program for PyTorch's own functions. It cannot look into the model's own autograd functions,
so they define here what to do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Function(torch.autograd.Function):
    """An autograd function that is called with all its arguments, one by one.

    PyTorch's `apply` looks the arguments of `forward` up at every call, to fill in defaults, which takes longer than
    many a step of a small batch.
    """

    @classmethod
    def apply(cls, *arguments: Any) -> Any:
        """Returns what `forward` returns, with its gradient."""
        if torch._C._are_functorch_transforms_active():
            return super().apply(*arguments)
        return super(torch.autograd.Function, cls).apply(*arguments)  # type: ignore[misc]  # its stubs leave it out


class Stacked(_Function):
    """An autograd function that takes the data of one trial, or a stack of trials: one more dimension, the first.

    Under `torch.vmap` it gets the stack, and its results are one.
    """

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        stacked = [
            _stacked(argument, dim, info.batch_size) if isinstance(argument, Tensor) else argument
            for argument, dim in zip(arguments, in_dims, strict=True)
        ]
        results = cls.apply(*stacked)
        return results, 0 if isinstance(results, Tensor) else (0,) * len(results)


class Folded(_Function):
    """An autograd function whose leading dimension may hold the data of several trials, one after another.

    Under `torch.vmap` the dimension of the trials is folded into the leading one, and the results are unfolded again.
    """

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> tuple[Any, Any]:
        folded = [
            _stacked(argument, dim, info.batch_size).flatten(0, 1) if isinstance(argument, Tensor) else argument
            for argument, dim in zip(arguments, in_dims, strict=True)
        ]
        results = cls.apply(*folded)
        if isinstance(results, Tensor):
            return results.unflatten(0, (info.batch_size, -1)), 0
        return tuple(each.unflatten(0, (info.batch_size, -1)) for each in results), (0,) * len(results)


def _stacked(tensor: Tensor, dim: int | None, trials: int) -> Tensor:
    """Moves the dimension `dim` of T trials to the front: [T, …].

    Where `dim` is None the tensor is the same for all trials and is repeated.
    """
    return tensor.expand(trials, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
