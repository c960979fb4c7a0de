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


class _Windows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, size: int, stride: int, count: int) -> Tensor:
        ctx.stride, ctx.side = stride, maps.shape[1]
        return _gather(maps, size, stride, count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _scatter(grad, ctx.stride, ctx.side), None, None, None


class _OverlapAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, windows: Tensor, stride: int, side: int) -> Tensor:
        ctx.size, ctx.stride, ctx.count = windows.shape[1], stride, windows.shape[3]
        return _scatter(windows, stride, side)

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


class _BlockMatrix(torch.autograd.Function):
    @staticmethod
    def _placed(whole: Tensor, kernel: int) -> Tensor:
        """The part of [p, p, K, C, w, w] that holds each position's copy of the filters, [p, p, K, C, k, k]."""
        row, column, *rest = whole.stride()
        strides = (row + rest[2], column + rest[3], *rest)
        return whole.as_strided((*whole.shape[:4], kernel, kernel), strides)

    @staticmethod
    def forward(ctx: Any, filters: Tensor, pooling: int) -> Tensor:
        elements, channels, ctx.kernel, _ = filters.shape
        size = pooling + ctx.kernel - 1
        whole = filters.new_zeros(pooling, pooling, elements, channels, size, size)
        _BlockMatrix._placed(whole, ctx.kernel).copy_(filters.expand(pooling, pooling, -1, -1, -1, -1))
        ctx.shape = whole.shape
        return whole.view(pooling * pooling * elements, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _BlockMatrix._placed(grad.contiguous().view(ctx.shape), ctx.kernel).sum((0, 1)), None


def block_matrix(filters: Tensor, pooling: int) -> Tensor:
    """The filters put at every position of a block.

    Args:
        filters: [K, C, k, k].
        pooling: p.

    Returns:
        [p²·K, C·w²], rows ordered by position and then by filter.
    """
    return filters.flatten(1) if pooling == 1 else _BlockMatrix.apply(filters, pooling)


_SLICE_VALUES = 2**18  # of a slice: 1 MiB in single precision, a few of which fit a core's share of the cache


def slices(blocks: Tensor) -> Iterator[slice]:
    """Cuts blocks [p², K, …] along K into parts small enough to stay in a core's cache, on a CPU; elsewhere whole."""
    elements = blocks.shape[1]
    step = elements
    if blocks.device.type == "cpu":
        step = max(1, _SLICE_VALUES * elements // blocks.numel())
    for start in range(0, elements, step):
        yield slice(start, min(start + step, elements))


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
