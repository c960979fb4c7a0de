"""A person's picture as the model wants it: the same pixels that preparing a dataset would make of it."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

# What is looked for in a file, whatever its name: not the formats that Pillow hands to other programs.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def read_picture(path: str, side: int, channels: int) -> Tensor:
    """Turned upright, scaled until its shorter side fits, cut to the middle; float [N_c, side, side] in [0, 1].

    Raises:
        OSError, ValueError: it is not there, no picture, broken or far too large; the message says which.
    """
    mode = "RGB" if channels == 3 else "L"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of damaged EXIF data beside a whole picture
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path, formats=FORMATS) as file:
                file.draft(mode, (2 * side, 2 * side))  # a large JPEG is decoded at a half, a quarter or an eighth
                picture = _on_white(_upright(file)).convert(mode)
        except OSError:
            raise
        except Exception as error:  # decoders raise anything at all on bytes that are not what they should be
            raise ValueError(str(error) or type(error).__name__) from error
    fitted = ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
    pixels = np.asarray(fitted, dtype=np.float32).reshape(side, side, channels)
    return torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1).contiguous()


def _upright(picture: Image.Image) -> Image.Image:
    """As its camera was held, where it says so in a way that can be read."""
    picture.load()
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # the note is damaged, the picture itself is not
        return picture


def _on_white(picture: Image.Image) -> Image.Image:
    """What is transparent becomes white; sixteen bits a value become eight, which `convert` would clip."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        whole = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole)
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture, dtype=np.int64) >> 8).astype(np.uint8))
    return picture
