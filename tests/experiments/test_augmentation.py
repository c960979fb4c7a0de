"""Moved, turned and zoomed images, against exact moves of the pixels."""

import pytest
import torch
from pydantic import ValidationError

from experiments.augmentation import Augmentation

STILL = {"shift": 0.0, "rotation": 0.0, "zoom": 0.0}


@pytest.fixture
def furthest(monkeypatch):
    """Every amount is drawn at its upper end."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.ones(*shape, **options))


def images(side=8, other=8):
    return torch.arange(2.0 * 3 * side * other).view(2, 3, side, other) + 1


def test_nothing_to_change_changes_nothing():
    assert Augmentation(**STILL).augmented(images()) is not None
    assert torch.equal(Augmentation(**STILL).augmented(images()), images())


def test_a_shift_of_whole_pixels_moves_them(furthest):
    found = Augmentation(**STILL | {"shift": 2}).augmented(images(8, 6))
    expected = torch.zeros(2, 3, 8, 6)
    expected[:, :, :-2, :-2] = images(8, 6)[:, :, 2:, 2:]
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_a_quarter_turn_is_one(furthest):
    found = Augmentation(**STILL | {"rotation": 90}).augmented(images())
    torch.testing.assert_close(found, images().rot90(1, (2, 3)), atol=1e-2, rtol=0)


def test_half_a_turn_of_a_wide_image_is_one(furthest):
    found = Augmentation(**STILL | {"rotation": 180}).augmented(images(4, 8))
    torch.testing.assert_close(found, images(4, 8).flip(2, 3), atol=1e-2, rtol=0)


def test_a_turn_keeps_distances_in_an_image_that_is_not_square(furthest):
    """A spot two pixels right of the centre lies two pixels above or below it after a quarter turn."""
    image = torch.zeros(1, 1, 9, 15)
    image[0, 0, 4, 7 + 2] = 1.0
    found = Augmentation(**STILL | {"rotation": 90}).augmented(image)[0, 0]
    assert found[4 - 2, 7] + found[4 + 2, 7] == pytest.approx(1.0, abs=1e-4)


def test_zooming_out_by_half_averages_pairs_of_pixels(furthest):
    """Each pixel of the smaller image lies in the middle of four."""
    found = Augmentation(**STILL | {"zoom": 0.999999}).augmented(images())
    pooled = torch.nn.functional.avg_pool2d(images(), 2)
    torch.testing.assert_close(found[:, :, 2:6, 2:6], pooled, atol=1e-2, rtol=0)
    assert not found[:, :, 0].any()


def test_amounts_are_drawn_within_their_limits_from_the_current_stream():
    spot = torch.zeros(500, 1, 11, 11)
    spot[:, :, 5, 5] = 1.0
    moving = Augmentation(**STILL | {"shift": 3})
    torch.manual_seed(1)
    found = moving.augmented(spot)
    torch.manual_seed(1)
    assert torch.equal(moving.augmented(spot), found)
    rows = (found.sum((1, 3)) * torch.arange(11)).sum(1) - 5
    columns = (found.sum((1, 2)) * torch.arange(11)).sum(1) - 5
    for moved in (rows, columns):
        assert moved.abs().max() <= 3 + 1e-4
        assert moved.min() < -2.9
        assert moved.max() > 2.9
        assert abs(moved.mean()) < 4 * 3 / 3**0.5 / 500**0.5
    assert abs(torch.corrcoef(torch.stack([rows, columns]))[0, 1]) < 0.2


@pytest.mark.parametrize(("name", "value"), [("shift", -1), ("rotation", 181), ("zoom", 1.0), ("turn", 1)])
def test_impossible_amounts_are_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        Augmentation(**STILL | {name: value})
