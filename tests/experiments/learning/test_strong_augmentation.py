"""Strong changes: images in, images out, and each change what it says."""

import math

import pytest
import torch

from experiments.learning import strong_augmentation as strong


@pytest.mark.parametrize("shape", [(64, 1, 28, 28), (64, 3, 32, 40)])
def test_images_stay_images_and_nearly_all_are_changed(shape):
    torch.manual_seed(0)
    images = torch.rand(shape)
    changed = strong.strongly_changed(images)
    assert changed.shape == images.shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert (changed != images).flatten(1).any(1).float().mean() > 0.9
    torch.manual_seed(0)
    torch.testing.assert_close(strong.strongly_changed(torch.rand(shape)), changed, rtol=0, atol=0)


def spot(row, column, side=41):
    image = torch.zeros(1, 1, side, side)
    image[..., row - 1 : row + 2, column - 1 : column + 2] = 1.0
    return image


def place(image):
    """The centre of mass, from the middle of the image: (down, right)."""
    weights = image[0, 0] / image.sum()
    middle = (image.shape[-1] - 1) / 2
    steps = torch.arange(image.shape[-1]) - middle
    return (weights.sum(1) @ steps).item(), (weights.sum(0) @ steps).item()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 0, 0, 0, 0), (-10.0, 0.0)),
        ((1, 0, 0, 0, 0), (-10 * math.cos(math.pi / 6), -10 * math.sin(math.pi / 6))),  # read from a turned grid
        ((0, 1, 0, 0, 0), (-10.0, 3.0)),
        ((0, 0, 1, 0, 0), (-10.0, 0.0)),
        ((0, 0, 0, 1 / 3, 0), (-10.0, -4.1)),
        ((0, 0, 0, 0, -1 / 3), (-5.9, 0.0)),
    ],
)
def test_a_spot_above_the_middle_goes_where_the_map_says(monkeypatch, numbers, expected):
    given = iter(numbers)
    monkeypatch.setattr(strong, "_spread", lambda count, device: torch.full((count,), float(next(given))))
    assert place(strong.moved(spot(10, 20))) == pytest.approx(expected, abs=0.15)


def test_values_are_changed_one_way_at_a_time():
    torch.manual_seed(1)
    image = torch.rand(1, 1, 8, 8)
    many = strong.values_changed(image.expand(400, -1, -1, -1))
    same = (many == image).flatten(1).all(1).float().mean().item()
    assert 0.1 < same < 0.3  # one in five is left as it is
    ratio = (many / image).flatten(1)
    darker = (ratio.std(1) < 1e-5) & (ratio[:, 0] < 0.999)
    assert 0.02 < darker.float().mean().item() < 0.3  # brightness, below 1 in half of its draws
    levels = [len(torch.unique(row)) for row in many]
    assert min(levels) <= 16  # four bits


def test_a_square_is_cut_out():
    torch.manual_seed(2)
    cut = strong.cut_out(torch.ones(200, 2, 20, 20)) == 0.5
    assert (cut[:, 0] == cut[:, 1]).all()
    assert cut.flatten(1).sum(1).max() <= 2 * 11 * 11
    assert cut.flatten(1).any(1).float().mean() > 0.8
    for each in cut[:, 0]:
        if each.any():
            rows, columns = each.any(1).nonzero().flatten(), each.any(0).nonzero().flatten()
            assert each.sum() == len(rows) * len(columns)  # all of a rectangle
            assert rows[-1] - rows[0] + 1 == len(rows)
