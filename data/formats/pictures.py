"""Encoded pictures (JPEG, PNG, …) as arrays of one size. Imports nothing but NumPy and Pillow."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# A file is tried as each of these formats, whatever its name. Formats that Pillow hands to other programs are left out.
FORMATS = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "PPM": (".pbm", ".pgm", ".ppm"),
}
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)


class BrokenPicture(ValueError):
    """A picture that cannot be used. The message says why, in a few words."""


def read_picture(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """Reads a picture file as uint8 [H, W, C], with the pixels that preparing a dataset makes of it: see `decoded`.

    Raises:
        OSError: the file cannot be read.
        BrokenPicture: it is no picture, broken or far too large.
    """
    return decoded(path.read_bytes(), shape)


def decoded(encoded: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns a picture as uint8 [H, W, C]: turned upright, scaled until it just covers H × W, the middle cut out.

    Grey and four-colour pictures become RGB where C is 3, coloured pictures become grey where C is 1, and transparent
    pixels become white. Pillow's bicubic scaling averages over all pixels when it makes a picture smaller.

    Raises:
        BrokenPicture: the bytes are no picture, a broken one, or one that is far too large.
    """
    height, width, channels = shape
    mode = "RGB" if channels == 3 else "L"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # of damaged EXIF data beside a whole picture
            file = Image.open(io.BytesIO(encoded), formats=tuple(FORMATS))
            # A large JPEG is decoded at a half, a quarter or an eighth, never below twice the size wanted.
            file.draft(mode, (2 * width, 2 * height))
            fitted = ImageOps.fit(_in_mode(_upright(file), mode), (width, height), Image.Resampling.BICUBIC)
    except Exception as error:  # decoders raise anything at all on bytes that are not what they should be
        reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise BrokenPicture(reason or type(error).__name__) from error
    return np.asarray(fitted, dtype=np.uint8).reshape(shape)


def _upright(image: Image.Image) -> Image.Image:
    """Turns a picture as its camera was held, where its EXIF data can be read and says so."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the EXIF data are damaged, the picture itself is not
        return image


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Converts a picture to mode RGB or L, on white where it is transparent."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        picture = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    elif image.mode.startswith("I;16") or image.mode == "I":  # sixteen bits a value, which `convert` would clip
        return Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).astype(np.uint8)).convert(mode)
    return image.convert(mode)
