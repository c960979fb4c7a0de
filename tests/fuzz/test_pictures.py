"""Damaged pictures of every format: each is refused with its reason, or becomes an array of the right size."""

import io
import random

import numpy as np
import pytest
from PIL import Image, ImageFile

from data.formats.pictures import FORMATS, BrokenPicture, decoded
from tests.fuzz.hanging import Hanging, in_time

SHAPES = ((8, 8, 3), (8, 8, 1), (32, 24, 3))


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def wholes():
    """Whole pictures: every format and mode that it has, animated ones, and some with EXIF data."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = [encoded(noise.convert("RGB"), "JPEG", exif=exif), encoded(noise, "TIFF", compression="tiff_lzw")]
    pictures += [encoded(noise, kind, save_all=True, append_images=[noise]) for kind in ("GIF", "WEBP", "TIFF")]
    for kind in FORMATS:
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
            try:
                pictures.append(encoded(noise.convert(mode) if mode != "I;16" else Image.new(mode, (9, 9)), kind))
            except (OSError, ValueError, KeyError):
                continue  # not a mode of that format
    return pictures


def damaged(draw, whole, others):
    """A picture with some bytes flipped, cut out, put in, exchanged or set to extremes, most often near its head."""
    data = bytearray(whole)
    for _ in range(draw.choice([1, 1, 2, 5, 20])):
        at = draw.randrange(min(len(data), draw.choice([16, 64, 512, 10**9]))) if data else 0
        match draw.randrange(6):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                data[at : at + 4] = draw.choice(
                    [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\xff\x00\x00\x00"]
                )
            case 2:
                del data[at : at + draw.choice([1, 4, 100])]
            case 3:
                data[at:at] = draw.randbytes(draw.choice([1, 4, 100]))
            case 4:
                del data[at:]
            case _:
                other = draw.choice(others)
                start = draw.randrange(len(other))
                data[at : at + 50] = other[start : start + 50]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
def test_damaged_pictures_are_refused_or_decoded(attempts, tally, monkeypatch):
    counts, pictures = tally("damaged pictures"), wholes()
    assert len({Image.open(io.BytesIO(data)).format for data in pictures}) == len(FORMATS)
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000_000)  # so that the largest take a moment
    for number in range(attempts(600, 60_000)):
        draw = random.Random(f"picture {number}")
        data, shape = damaged(draw, draw.choice(pictures), pictures), draw.choice(SHAPES)
        outcome, why = "wrong", ""
        try:
            with in_time():
                made = decoded(data, shape)
            fits = isinstance(made, np.ndarray) and (made.shape, made.dtype) == (shape, np.uint8)
            outcome, why = ("survived", "") if fits else ("wrong", f"it became {made.dtype} {made.shape}")
        except BrokenPicture as error:
            told = str(error) and "\n" not in str(error)
            outcome, why = ("refused in one line", "") if told else ("wrong", f"the reason is {str(error)!r}")
        except (Exception, Hanging) as error:
            why = repr(error)
        counts.count(outcome)
        if why:
            print(f"attempt {number}: {why}: {data[:40]!r}…")
    assert counts.harm == 0
    monkeypatch.undo()
    assert before == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
