"""Encoded pictures (JPEG, PNG, …) as arrays of one size."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

# What is looked for in a file, whatever its name: not the formats that Pillow hands to other programs.
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


class BrokenPicture(Exception):
    """A picture that cannot be used; the message says why, in a few words."""


def decoded(encoded: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """The picture as uint8 [H, W, C]: turned upright, scaled until it just covers H × W, the middle cut out.

    Grey and four-colour pictures become RGB where C is 3, coloured ones grey where C is 1; what is transparent
    becomes white. Scaling is Pillow's bicubic one, which averages over all pixels when it makes a picture smaller.
    Raises BrokenPicture.
    """
    height, width, channels = shape
    mode = "RGB" if channels == 3 else "L"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # of damaged EXIF data beside a whole picture
            image = Image.open(io.BytesIO(encoded), formats=tuple(FORMATS))
            # A JPEG far too large is decoded at a half, a quarter or an eighth, never below twice the size wanted.
            image.draft(mode, (2 * width, 2 * height))
            image = _in_mode(_upright(image), mode)
            fitted = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    except Exception as error:  # decoders raise anything at all on bytes that are not what they should be
        reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise BrokenPicture(reason) from error
    return np.asarray(fitted, dtype=np.uint8).reshape(shape)


def _upright(image: Image.Image) -> Image.Image:
    """As its camera was held, where it says so in a way that can be read."""
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the note is damaged, the picture itself is not
        return image


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        picture = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    elif image.mode.startswith("I;16") or image.mode == "I":  # sixteen bits a value, which `convert` would clip
        return Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).astype(np.uint8)).convert(mode)
    return image.convert(mode)
