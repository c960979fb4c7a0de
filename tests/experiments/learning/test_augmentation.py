"""Changed images, against exact moves of the pixels and straight lines, which bilinear reading keeps."""

import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from experiments.learning.augmentation import Augmentation

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


def test_half_of_the_images_are_mirrored_and_the_others_are_as_they_were():
    batch = images(6, 10)[:1].expand(400, -1, -1, -1)
    torch.manual_seed(1)
    found = Augmentation(**STILL, flip=True).augmented(batch)
    mirrored = (found - batch.flip(3)).abs().amax((1, 2, 3)) < 1e-3
    still = (found - batch).abs().amax((1, 2, 3)) < 1e-3
    assert torch.equal(mirrored, ~still)
    assert stats.binomtest(int(mirrored.sum()), 400).pvalue > 1e-3


def test_mirroring_twice_gives_the_image_back(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.zeros(*shape, **options))
    flip = Augmentation(**STILL, flip=True)
    torch.testing.assert_close(flip.augmented(flip.augmented(images(7, 5))), images(7, 5), atol=1e-3, rtol=0)


def test_a_crop_reads_an_even_part_of_the_image_anywhere_in_it():
    """Columns count across and rows count down, so what is read says where: at share · i + start."""
    height, width, count, crop = 9, 13, 500, 0.4
    across = torch.arange(float(width)).expand(height, width)
    down = torch.arange(float(height))[:, None].expand(height, width)
    batch = torch.stack([across, down]).expand(count, -1, -1, -1)
    torch.manual_seed(2)
    found = Augmentation(**STILL, crop=crop).augmented(batch)
    starts, shares = [], []
    for channel, other, side in ((0, 1, width), (1, 2, height)):
        line = found[:, channel].select(other, 0)
        torch.testing.assert_close(found[:, channel].mean(other), line, atol=1e-4, rtol=0)
        start, share = line[:, 0], (line[:, -1] - line[:, 0]) / (side - 1)
        expected = start[:, None] + share[:, None] * torch.arange(side)
        torch.testing.assert_close(line, expected, atol=1e-4, rtol=0)
        assert line.min() >= -1e-4
        assert line.max() <= side - 1 + 1e-4
        starts.append(start / ((1 - share) * (side - 1)))
        shares.append(share)
    torch.testing.assert_close(*shares, atol=1e-4, rtol=0)
    clear = shares[0] < 0.99  # where enough is cut off to tell the place
    drawn = torch.stack([(1 - shares[0]) / crop, *starts])[:, clear]
    for amounts in (shares[0].sub(1).div(-crop), *drawn[1:]):
        assert stats.kstest(amounts.numpy(), "uniform").pvalue > 1e-3
    assert torch.corrcoef(drawn).triu(1).abs().max() < 0.2


def test_no_zeros_come_in_with_a_crop():
    torch.manual_seed(3)
    found = Augmentation(**STILL, crop=0.5, flip=True).augmented(torch.full((200, 1, 8, 6), 0.7))
    torch.testing.assert_close(found, torch.full((200, 1, 8, 6), 0.7))


def test_all_at_once_is_one_after_the_other(monkeypatch):
    """On a plane, which bilinear reading keeps: cropped, mirrored, then turned, zoomed and moved."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.full(shape, 0.2, **options))
    moves = {"shift": 2.0, "rotation": 20.0, "zoom": 0.2}
    plane = (torch.arange(24.0)[:, None] + 3 * torch.arange(24.0) + 100).view(1, 1, 24, 24)
    found = Augmentation(**moves, flip=True, crop=0.5).augmented(plane)
    expected = plane
    for settings in ({**STILL, "crop": 0.5}, {**STILL, "flip": True}, moves):
        expected = Augmentation(**settings).augmented(expected)
    torch.testing.assert_close(found[..., 6:-6, 6:-6], expected[..., 6:-6, 6:-6], atol=1e-2, rtol=0)


def test_the_same_stream_gives_the_same_images():
    changing = Augmentation(shift=1, rotation=5, zoom=0.1, flip=True, crop=0.3)
    torch.manual_seed(4)
    first = changing.augmented(images())
    assert not torch.equal(changing.augmented(images()), first)
    torch.manual_seed(4)
    assert torch.equal(changing.augmented(images()), first)


def test_what_is_off_draws_nothing():
    torch.manual_seed(5)
    torch.rand(4, 2)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Augmentation(shift=1, rotation=5, zoom=0.1).augmented(images())
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [("shift", -1), ("rotation", 181), ("zoom", 1.0), ("turn", 1), ("flip", 0.5), ("crop", 1.0), ("crop", -0.1)],
)
def test_impossible_amounts_are_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        Augmentation(**STILL | {name: value})
