"""Block-wise products against PyTorch's own convolutions."""

import pytest
import torch
from torch.nn import functional

from vae.blocks import block_matrix, overlap_add, real_positions, windows_of

# input side, kernel, pooling: whole blocks, short ones, no pooling, one block
CASES = [(28, 8, 3), (10, 4, 3), (9, 2, 4), (7, 6, 1), (5, 5, 1), (14, 5, 2), (13, 5, 2)]


def sizes(side, kernel, pooling):
    conv = side - kernel + 1
    return conv, -(-conv // pooling)


@pytest.mark.parametrize(("side", "kernel", "pooling"), CASES)
def test_pooled_convolution_is_conv2d_in_block_order(side, kernel, pooling):
    torch.manual_seed(0)
    conv, count = sizes(side, kernel, pooling)
    images, filters = torch.randn(3, 2, side, side), torch.randn(4, 2, kernel, kernel)
    maps = images.permute(1, 2, 3, 0).contiguous()
    blocks = block_matrix(filters, pooling) @ windows_of(maps, kernel, pooling, count)
    whole = blocks.view(pooling, pooling, 4, count, count, 3).permute(5, 2, 3, 0, 4, 1)
    whole = whole.reshape(3, 4, pooling * count, pooling * count)[:, :, :conv, :conv]
    torch.testing.assert_close(whole, functional.conv2d(images, filters), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("side", "kernel", "pooling"), CASES)
def test_overlap_add_is_conv_transpose2d(side, kernel, pooling):
    torch.manual_seed(0)
    conv, count = sizes(side, kernel, pooling)
    padded = pooling * count
    values = torch.randn(3, 4, padded, padded)
    values[:, :, conv:] = 0  # padded positions are never chosen
    values[:, :, :, conv:] = 0
    filters = torch.randn(4, 2, kernel, kernel)
    blocks = values.view(3, 4, count, pooling, count, pooling).permute(3, 5, 1, 2, 4, 0)
    windows = block_matrix(filters, pooling).T @ blocks.reshape(pooling**2 * 4, -1)
    found = overlap_add(windows, kernel, pooling, count, side).permute(3, 0, 1, 2)
    expected = functional.conv_transpose2d(values[:, :, :conv, :conv], filters)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("side", "kernel", "pooling"), CASES[:4])
def test_gradients(side, kernel, pooling):
    _, count = sizes(side, kernel, pooling)
    maps = torch.randn(1, side, side, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: windows_of(m, kernel, pooling, count), maps, fast_mode=True)
    window = (pooling + kernel - 1) ** 2
    stacked = torch.randn(window, count * count * 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: overlap_add(w, kernel, pooling, count, side), stacked, fast_mode=True)


def test_real_positions_of_short_blocks():
    assert real_positions(6, 3, 2) is None
    real = real_positions(3, 2, 2)[:, 0, :, 0].view(2, 2, 2, 2)  # position row, column, block row, column
    assert real[:, :, 0, 0].all()
    assert real[:, :, 0, 1].tolist() == [[True, False], [True, False]]
    assert real[:, :, 1, 0].tolist() == [[True, True], [False, False]]
    assert real[:, :, 1, 1].tolist() == [[True, False], [False, False]]
