"""Convolution and pooling as one matrix product, block by block.

Notation: K filters of k × k values, pooling blocks of p × p, n blocks per side, a batch of B images.

Maps are stored *batch last*, [channels, height, width, B]. The p² values of a pooling block lie in the leading
dimension: [p², K, n²·B]. To compute a whole block at once, the convolution reads a window of w = p + k − 1 values
per side. Its weights are one matrix [p²·K, channels·w²]: the K filters placed at each of the block's p² positions.

This has three advantages. The product comes out in the order in which pooling reads it, so nothing is copied in
between. Every element-wise step runs over long contiguous rows. The windows hold (w/p)² values per image value,
where an ordinary unfolding holds k².

The decoder's unpooling and full convolution are the transposes of these maps. A layer without pooling is the case
p = 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from vae.kernels.compiled import compute, is_compiled_for
from vae.vmap_functions import Folded, Stacked


def _gather(maps: Tensor, size: int, stride: int, count: int) -> Tensor:
    """Copies every window of the maps, which are zero beyond their border: [C, H, W, B] → [C, size, size, n, n, B]."""
    missing = stride * (count - 1) + size - maps.shape[1]
    if missing > 0:
        maps = functional.pad(maps, (0, 0, 0, missing, 0, missing))
    c, h, w, b = maps.stride()
    shape = (maps.shape[0], size, size, count, count, maps.shape[3])
    return maps.as_strided(shape, (c, h, w, h * stride, w * stride, b)).contiguous()


def _scatter(windows: Tensor, stride: int, side: int) -> Tensor:
    """Adds every window to the maps at its place, within their border: the transpose of `_gather`."""
    channels, size, _, count, _, batch = windows.shape
    if is_compiled_for(windows):
        maps = windows.new_empty(channels, side, side, batch)
        compute("overlap_add", (channels, size, stride, count, side, batch), windows.contiguous(), maps)
        return maps
    reach = stride * (count - 1) + 1
    whole = max(side, reach + size - 1)
    # Rows first, then columns: 2·size large additions instead of size², one per window position.
    rows = windows.new_zeros(channels, whole, size, count, batch)
    for row in range(size):
        rows[:, row : row + reach : stride] += windows[:, row].transpose(1, 2)
    maps = windows.new_zeros(channels, whole, whole, batch)
    for column in range(size):
        maps[:, :, column : column + reach : stride] += rows[:, :, column]
    return maps[:, :side, :side].contiguous()


class _Windows(Folded):
    """`_gather` with its gradient."""

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
    """`_scatter` with its gradient."""

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
    """Returns the window that each pooling block reads.

    Args:
        maps: [C, side, side, B], contiguous. Where the last block is short, they are padded with zeros below and to
            the right.
        kernel: k.
        pooling: p.
        count: n.

    Returns:
        [C·w², n²·B] with w = p + k − 1.
    """
    size = pooling + kernel - 1
    return _Windows.apply(maps, size, pooling, count).view(maps.shape[0] * size * size, -1)


def overlap_add(windows: Tensor, kernel: int, pooling: int, count: int, side: int) -> Tensor:
    """Sums the windows that the blocks write: the transpose of `windows_of`.

    Args:
        windows: [C·w², n²·B].
        kernel: k.
        pooling: p.
        count: n.
        side: side of the returned maps. What short blocks write beyond it is cut off; it is zero, since a padded
            position is never chosen.

    Returns:
        [C, side, side, B].
    """
    size = pooling + kernel - 1
    stacked = windows.view(windows.shape[0] // (size * size), size, size, count, count, -1)
    return _OverlapAdd.apply(stacked, pooling, side)


class _BlockMatrix(Stacked):
    """`block_matrix` with its gradient."""

    @staticmethod
    def _placed(whole: Tensor, kernel: int) -> Tensor:
        """Returns a view […, p, p, K, C, k, k] of `whole` […, p, p, K, C, w, w]: where each position's filters lie."""
        *stack, row, column, element, channel, below, right = whole.stride()
        strides = (*stack, row + below, column + right, element, channel, below, right)
        return whole.as_strided((*whole.shape[:-2], kernel, kernel), strides)

    @staticmethod
    def forward(filters: Tensor, pooling: int) -> Tensor:
        *stack, elements, channels, kernel, _ = filters.shape
        size = pooling + kernel - 1
        whole = filters.new_zeros(*stack, pooling, pooling, elements, channels, size, size)
        _BlockMatrix._placed(whole, kernel).copy_(filters[..., None, None, :, :, :, :])
        return whole.view(*stack, pooling * pooling * elements, -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        filters, pooling = inputs
        *stack, elements, channels, ctx.kernel, _ = filters.shape
        size = pooling + ctx.kernel - 1
        ctx.shape = (*stack, pooling, pooling, elements, channels, size, size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        placed = _BlockMatrix._placed(grad.contiguous().view(ctx.shape), ctx.kernel)
        return placed.sum((-6, -5)), None


def block_matrix(filters: Tensor, pooling: int) -> Tensor:
    """Places the filters at every position of a block.

    Args:
        filters: [K, C, k, k].
        pooling: p.

    Returns:
        [p²·K, C·w²], with rows ordered by position, then by filter.
    """
    return filters.flatten(1) if pooling == 1 else _BlockMatrix.apply(filters, pooling)


_SLICE_VALUES = 2**18  # values in a slice: 1 MiB in single precision; a few of them fit a core's share of the cache


def slices(blocks: Tensor) -> Iterator[tuple[slice, slice]]:
    """Cuts blocks [T, p², K, …] along T and K.

    On a CPU each part belongs to one trial and is small enough to stay in a core's cache. On other devices the only
    part is the whole.
    """
    trials, _, elements = blocks.shape[:3]
    if blocks.device.type != "cpu":
        yield slice(None), slice(None)
        return
    step = max(1, _SLICE_VALUES * elements * trials // blocks.numel())
    for trial in range(trials):
        for start in range(0, elements, step):
            yield slice(trial, trial + 1), slice(start, min(start + step, elements))


def product(left: Tensor, right: Tensor, factors: torch.dtype | None) -> Tensor:
    """Returns left @ right with both factors rounded to the type `factors`, or not rounded where it is None.

    The result and the gradients keep the type of `left`. GPUs and some processors multiply bfloat16 many times faster
    than float32, yet sum in float32.
    """
    if factors is None:
        return left @ right
    return (left.to(factors) @ right.to(factors)).to(left.dtype)


def real_positions(conv: int, pooling: int, count: int) -> Tensor | None:
    """Tells which positions of each block lie on the map and are not padding.

    Returns:
        bool [p², 1, n², 1]; None where no block is short.
    """
    if pooling * count == conv:
        return None
    inside = (torch.arange(pooling * count) < conv).view(count, pooling)
    both = inside[:, None, :, None] & inside[None, :, None, :]  # block row, block column, row, column
    return both.permute(2, 3, 0, 1).reshape(pooling * pooling, 1, count * count, 1)
