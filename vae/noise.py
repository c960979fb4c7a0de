"""The model's random draws: from PyTorch's global stream or, for a stack of trials, from each trial's own stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

_streams: ContextVar[Sequence[torch.Generator]] = ContextVar("streams")


@contextmanager
def drawn_from(streams: Sequence[torch.Generator]) -> Iterator[None]:
    """Makes a `torch.vmap` over several trials draw each trial's numbers from its own stream.

    They are the numbers that the trial would draw alone from a global stream in the same state.
    """
    token = _streams.set(streams)
    try:
        yield
    finally:
        _streams.reset(token)


def normal_like(like: Tensor) -> Tensor:
    """Draws standard normal numbers in the shape of `like`, without gradient."""
    return _Draw.apply(like.detach(), "normal_")


def uniform_like(like: Tensor) -> Tensor:
    """Draws uniform numbers in [0, 1) in the shape of `like`, without gradient."""
    return _Draw.apply(like.detach(), "uniform_")


def exponential_like(like: Tensor) -> Tensor:
    """Draws exponential numbers of mean one in the shape of `like`, without gradient."""
    return _Draw.apply(like.detach(), "exponential_")


class _Draw(torch.autograd.Function):
    """`torch.randn_like` and its relatives, as an autograd function so that `torch.vmap` calls its `vmap`."""

    @staticmethod
    def forward(like: Tensor, distribution: str) -> Tensor:
        return getattr(torch.empty_like(like), distribution)()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None]:
        return None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int, None], like: Tensor, distribution: str) -> tuple[Tensor, int]:
        shape = like.movedim(in_dims[0], 0).shape
        drawn = like.new_empty(shape)
        for trial, stream in zip(drawn, _streams.get(), strict=True):
            getattr(trial, distribution)(generator=stream)
        return drawn, 0
