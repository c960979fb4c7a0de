"""Decoded pictures compared with what Pillow draws and with NumPy's means; files that are not pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from data.formats.pictures import BrokenPicture, decoded, read_picture


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_a_picture_of_the_right_size_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(decoded(encoded(Image.fromarray(pixels)), (16, 16, 3)), pixels)


def test_the_middle_of_the_longer_side_is_kept():
    # red, green and blue thirds: the square in the middle is green
    pixels = np.zeros((20, 60, 3), np.uint8)
    for third in range(3):
        pixels[:, 20 * third : 20 * third + 20, third] = 255
    for picture in (Image.fromarray(pixels), Image.fromarray(pixels.transpose(1, 0, 2))):
        assert (decoded(encoded(picture), (20, 20, 3)) == [0, 255, 0]).all()
        small = decoded(encoded(picture), (10, 10, 3))[2:8, 2:8]  # the filter reaches past the cut at its border
        assert (small == [0, 255, 0]).all()


def test_making_smaller_averages_over_all_pixels():
    # without antialiasing a chequerboard of single pixels would come out black or white
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = decoded(encoded(Image.fromarray(board)), (8, 8, 1))
    assert np.abs(small.astype(int) - 127.5).max() < 2


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 90, (90, 90, 90)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (200, 0, 0, 0), (255, 255, 255)),  # transparent: the white behind it
        ("RGBA", (200, 10, 0, 255), (200, 10, 0)),
        ("LA", (10, 0), (255, 255, 255)),
        ("I;16", 0x8000, (128, 128, 128)),
    ],
)
def test_every_kind_of_picture_becomes_three_colours(mode, value, expected):
    kept = decoded(encoded(Image.new(mode, (9, 9), value)), (9, 9, 3))
    assert (kept == expected).all()


def test_colours_of_print_and_of_a_palette():
    cmyk = decoded(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), (16, 16, 3))
    assert cmyk[..., 0].min() > 200
    assert cmyk[..., 1:].max() < 60
    palette = Image.new("RGB", (16, 16), (10, 200, 30)).quantize(4)
    assert (decoded(encoded(palette), (16, 16, 3)) == (10, 200, 30)).all()


def test_colours_become_grey_where_one_channel_is_wanted():
    kept = decoded(encoded(Image.new("RGB", (8, 8), (255, 0, 0))), (8, 8, 1))
    assert kept.shape == (8, 8, 1)
    assert (kept == 76).all()  # ITU-R 601: 0.299 of 255


def test_a_camera_held_upright():
    pixels = np.zeros((12, 12, 3), np.uint8)
    pixels[:6] = 255  # white above
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180°
    kept = decoded(encoded(Image.fromarray(pixels), "JPEG", exif=exif, quality=100), (12, 12, 3))
    assert kept[:5].max() < 30
    assert kept[7:].min() > 220


def test_a_large_jpeg_read_at_a_fraction_looks_as_if_read_whole():
    ramp = np.linspace(0, 255, 1024)
    pixels = np.stack([np.add.outer(ramp, ramp) / 2, np.tile(ramp, (1024, 1)), 255 - np.tile(ramp, (1024, 1)).T], 2)
    image = Image.fromarray(pixels.astype(np.uint8))
    kept = decoded(encoded(image, "JPEG", quality=95), (32, 32, 3))
    means = pixels.reshape(32, 32, 32, 32, 3).mean(axis=(1, 3))
    assert np.abs(kept - means).max() < 6


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a picture"),
        (b"<html>no such page</html>", "not a picture"),
        (encoded(Image.new("RGB", (64, 64), "red"), "JPEG")[:300], "Truncated File Read"),
        (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:1000], "truncated"),
        (encoded(Image.effect_noise((64, 64), 50), "PNG")[:1000], "truncated"),
    ],
)
def test_broken_pictures(content, reason):
    with pytest.raises(BrokenPicture, match=reason):
        decoded(content, (8, 8, 3))


def test_a_file(tmp_path):
    content = encoded(Image.effect_noise((20, 30), 50), "PNG")
    (tmp_path / "picture").write_bytes(content)
    assert np.array_equal(read_picture(tmp_path / "picture", (8, 8, 3)), decoded(content, (8, 8, 3)))
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "nowhere", (8, 8, 3))


def test_a_picture_that_would_fill_the_memory(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for side in (40, 60):  # more than is sensible; more than Pillow reads at all
        with pytest.raises(BrokenPicture, match="exceeds limit"):
            decoded(encoded(Image.new("L", (side, side))), (8, 8, 1))


def test_a_damaged_note_beside_a_whole_picture():
    exif = Image.Exif()
    exif[0x0112] = 3
    whole = encoded(Image.new("RGB", (16, 16), (200, 10, 10)), "JPEG", exif=exif, quality=100)
    start = whole.index(b"Exif\0\0") + 6
    seen = 0
    for place in range(start, start + 26):
        for byte in (0, 1, 127, 255):
            spoilt = whole[:place] + bytes([byte]) + whole[place + 1 :]
            try:
                seen += decoded(spoilt, (16, 16, 3))[8, 8, 0] > 150
            except BrokenPicture:
                continue
    assert seen > 50


def test_a_file_is_not_handed_to_other_programs():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    with pytest.raises(BrokenPicture, match="not a picture"):
        decoded(postscript, (8, 8, 3))
