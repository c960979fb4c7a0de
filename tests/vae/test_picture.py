"""A person's picture becomes the pixels that preparing a dataset makes of the same file."""

import io

import numpy as np
import pytest
from PIL import Image

from data.formats.pictures import BrokenPicture, decoded
from vae.picture import read_picture

CHANCE = np.random.default_rng(0)


def noise(height, width, channels=3):
    return CHANCE.integers(0, 256, (height, width, channels), dtype=np.uint8).squeeze()


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    return saved(Image.fromarray(noise(60, 90)), "JPEG", exif=exif)


PICTURES = {
    "colours": saved(Image.fromarray(noise(50, 70)), "PNG"),
    "grey": saved(Image.fromarray(noise(70, 50, 1)), "PNG"),
    "transparent": saved(Image.fromarray(noise(40, 40, 4), "RGBA"), "PNG"),
    "palette": saved(Image.fromarray(noise(40, 50)).quantize(16), "GIF"),
    "sixteen bits": saved(Image.fromarray(noise(40, 40, 1).astype(np.uint16) << 8), "PNG"),
    "print": saved(Image.fromarray(noise(40, 60, 4), "CMYK"), "JPEG"),
    "a large JPEG": saved(Image.fromarray(noise(700, 900)), "JPEG"),
    "turned": turned(),
    "as it is": saved(Image.fromarray(noise(32, 32)), "PNG"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PICTURES)
def test_the_same_pixels(name, channels, tmp_path):
    (tmp_path / "picture").write_bytes(PICTURES[name])
    found = read_picture(str(tmp_path / "picture"), 32, channels)
    expected = decoded(PICTURES[name], (32, 32, channels)).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), expected)


def read(content, tmp_path):
    (tmp_path / "picture").write_bytes(content)
    try:
        return (read_picture(str(tmp_path / "picture"), 16, 3) * 255).round().permute(1, 2, 0).numpy().tolist()
    except (OSError, ValueError):
        return None


def test_a_damaged_note_beside_a_whole_picture(tmp_path):
    """Wherever preparing takes the picture all the same, so does the command."""
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = saved(Image.fromarray(noise(20, 16)), "JPEG", exif=exif)
    start = whole.index(b"Exif\0\0") + 6
    taken = 0
    for place in range(start, start + 26, 2):
        for byte in (0, 127, 255):
            spoilt = whole[:place] + bytes([byte]) + whole[place + 1 :]
            try:
                expected = decoded(spoilt, (16, 16, 3)).tolist()
            except BrokenPicture:
                expected = None
            assert read(spoilt, tmp_path) == expected
            taken += expected is not None
    assert taken > 20


@pytest.mark.parametrize("content", [b"", b"no picture", PICTURES["colours"][:60], PICTURES["turned"][:400]])
def test_what_is_no_picture_is_told(content, tmp_path):
    (tmp_path / "picture").write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        read_picture(str(tmp_path / "picture"), 32, 3)
