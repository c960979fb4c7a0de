"""Convolution block by block, as one matrix product.

Maps are kept *batch last*, [channels, height, width, batch], and the values of a pooling block lie one
behind another in the leading dimension, [p², K, n²·batch]. A convolution that is pooled in p × p blocks
reads, for a whole block at once, a window of w = p + k − 1 values a side; its weights, the K filters put
at each of the block's p² positions, are one matrix [p²·K, channels·w²]. The product with the windows
comes out in the very order in which the pooling reads it, so that no layout is ever copied between the
two, every element-wise step runs over long contiguous rows, and the windows hold (w/p)² values per
image value where an ordinary unfolding holds k². The decoder's unpooling and full convolution are
the transposes of these maps. A layer without pooling is the case p = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from vae.folding import Folded


def _gather(maps: Tensor, size: int, stride: int, count: int) -> Tensor:
    """Copies every window: [C, H, W, B] → [C, size, size, count, count, B]."""
    c, h, w, b = maps.stride()
    shape = (maps.shape[0], size, size, count, count, maps.shape[3])
    return maps.as_strided(shape, (c, h, w, h * stride, w * stride, b)).contiguous()


def _scatter(windows: Tensor, stride: int, side: int) -> Tensor:
    """Adds every window back at its place: the transpose of `_gather`."""
    channels, size, _, count, _, batch = windows.shape
    reach = stride * (count - 1) + 1
    # Rows first and columns after: 2·size large additions where one per window position would take size².
    rows = windows.new_zeros(channels, side, size, count, batch)
    for row in range(size):
        rows[:, row : row + reach : stride] += windows[:, row].transpose(1, 2)
    maps = windows.new_zeros(channels, side, side, batch)
    for column in range(size):
        maps[:, :, column : column + reach : stride] += rows[:, :, column]
    return maps


class _Windows(Folded):
    @staticmethod
    def forward(maps: Tensor, size: int, stride: int, count: int) -> Tensor:
        return _gather(maps, size, stride, count)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        maps, _, ctx.stride, _ = inputs
        ctx.side = maps.shape[1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _scatter(grad, ctx.stride, ctx.side), None, None, None


class _OverlapAdd(Folded):
    @staticmethod
    def forward(windows: Tensor, stride: int, side: int) -> Tensor:
        return _scatter(windows, stride, side)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        windows, ctx.stride, _ = inputs
        ctx.size, ctx.count = windows.shape[1], windows.shape[3]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _gather(grad.contiguous(), ctx.size, ctx.stride, ctx.count), None, None


def windows_of(maps: Tensor, kernel: int, pooling: int, count: int) -> Tensor:
    """What each pooling block reads.

    Args:
        maps: [C, side, side, B], contiguous; padded with zeros below and to the right where the last block is short.
        kernel, pooling, count: k, p and the number of blocks a side, n.

    Returns:
        [C·w², n²·B] with w = p + k − 1.
    """
    size, needed = pooling + kernel - 1, pooling * count + kernel - 1
    missing = needed - maps.shape[1]
    if missing:
        maps = functional.pad(maps, (0, 0, 0, missing, 0, missing))
    return _Windows.apply(maps, size, pooling, count).view(maps.shape[0] * size * size, -1)


def overlap_add(windows: Tensor, kernel: int, pooling: int, count: int, side: int) -> Tensor:
    """Adds what each block writes: the transpose of `windows_of`.

    Args:
        windows: [C·w², n²·B].
        side: side of the maps that are returned; what short blocks wrote beyond it is cut off (it is zero,
            since a padded position is never chosen).

    Returns:
        [C, side, side, B].
    """
    size, whole = pooling + kernel - 1, pooling * count + kernel - 1
    stacked = windows.view(windows.shape[0] // (size * size), size, size, count, count, -1)
    return _OverlapAdd.apply(stacked, pooling, whole)[:, :side, :side]


class _BlockMatrix(Folded):
    """From filters [T, K, C, k, k] to [T, p²·K, C·w²], T trials in one go."""

    @staticmethod
    def _placed(whole: Tensor, kernel: int) -> Tensor:
        """The part of [T, p, p, K, C, w, w] that holds each position's copy of the filters, [T, p, p, K, C, k, k]."""
        trial, row, column, *rest = whole.stride()
        strides = (trial, row + rest[2], column + rest[3], *rest)
        return whole.as_strided((*whole.shape[:5], kernel, kernel), strides)

    @staticmethod
    def forward(filters: Tensor, pooling: int) -> Tensor:
        trials, elements, channels, kernel, _ = filters.shape
        size = pooling + kernel - 1
        whole = filters.new_zeros(trials, pooling, pooling, elements, channels, size, size)
        _BlockMatrix._placed(whole, kernel).copy_(filters[:, None, None])
        return whole.view(trials, pooling * pooling * elements, -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        filters, pooling = inputs
        trials, elements, channels, ctx.kernel, _ = filters.shape
        size = pooling + ctx.kernel - 1
        ctx.shape = (trials, pooling, pooling, elements, channels, size, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _BlockMatrix._placed(grad.contiguous().view(ctx.shape), ctx.kernel).sum((1, 2)), None


def block_matrix(filters: Tensor, pooling: int) -> Tensor:
    """The filters put at every position of a block.

    Args:
        filters: [K, C, k, k].
        pooling: p.

    Returns:
        [p²·K, C·w²], rows ordered by position and then by filter.
    """
    return filters.flatten(1) if pooling == 1 else _BlockMatrix.apply(filters[None], pooling).squeeze(0)


_SLICE_VALUES = 2**18  # of a slice: 1 MiB in single precision, a few of which fit a core's share of the cache


def slices(blocks: Tensor) -> Iterator[tuple[slice, slice]]:
    """Cuts blocks [T, p², K, …] along T and K: on a CPU into parts of one trial, small enough to stay in a core's
    cache; elsewhere whole."""
    trials, _, elements = blocks.shape[:3]
    if blocks.device.type != "cpu":
        yield slice(None), slice(None)
        return
    step = max(1, _SLICE_VALUES * elements * trials // blocks.numel())
    for trial in range(trials):
        for start in range(0, elements, step):
            yield slice(trial, trial + 1), slice(start, min(start + step, elements))


def product(left: Tensor, right: Tensor, factors: torch.dtype | None) -> Tensor:
    """left @ right of factors rounded to that type, if to any; the result, and gradients, have the type they came in.

    GPUs and some processors multiply bfloat16 many times as fast as float32, and add up in float32 all the same.
    """
    if factors is None:
        return left @ right
    return (left.to(factors) @ right.to(factors)).to(left.dtype)


def real_positions(conv: int, pooling: int, count: int) -> Tensor | None:
    """Which positions of each block lie on the map.

    Returns:
        bool [p², 1, n², 1], or None where no block is short.
    """
    if pooling * count == conv:
        return None
    inside = (torch.arange(pooling * count) < conv).view(count, pooling)
    both = inside[:, None, :, None] & inside[None, :, None, :]  # block row, block column, row, column
    return both.permute(2, 3, 0, 1).reshape(pooling * pooling, 1, count * count, 1)
