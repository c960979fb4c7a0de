"""gallery/captions.json: some test images, the captions that people wrote, and those that each system generated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from reports.errors import UserError
from reports.inputs.documents import Count, Document, FileName, Number, Proportion, read_document

REMEDY = "`python -m experiments run` writes it"


class Caption(Document):
    """A caption that one trial generated for one image.

    Attributes:
        xi: ξ, the weight of the caption term in training, as asked.
        log_likelihood: log p(text | image) in nats; None for a system without a likelihood.
        words: the number of words in the text, its end counted.
    """

    trial_id: str
    system: str
    proportion: Proportion
    xi: float | str | None
    text: str
    log_likelihood: Number | None
    words: int = Field(ge=1, le=10**9)

    @property
    def perplexity(self) -> float | None:
        """The perplexity per word, exp(−log p / words); None without a likelihood."""
        return None if self.log_likelihood is None else math.exp(min(700.0, -self.log_likelihood / self.words))


class CaptionedImage(Document):
    """A test image with its captions.

    Attributes:
        index: its number among the test images.
        file: a PNG file beside captions.json.
        subset: "same" if all references are, word for word, captions of training images too, else "unseen".
        references: the captions that people wrote.
        said: the captions that the systems generated.
    """

    index: Count
    file: FileName
    subset: Literal["same", "unseen"]
    references: list[str] = Field(min_length=1)
    said: list[Caption]


class Captions(Document):
    """The content of captions.json; `chosen` tells how the images were chosen."""

    images: list[CaptionedImage]
    chosen: str


def read_captions(folder: Path, results: pd.DataFrame) -> Captions | None:
    """Reads captions.json in this folder; returns None where there is none.

    Raises:
        UserError: a wrong value, a trial that is not a done one of the results, or two texts of one system at one
            proportion for an image.
    """
    path = folder / "captions.json"
    try:
        captions = read_document(path, Captions, REMEDY)
    except FileNotFoundError:
        return None
    done = results[results["status"] == "done"].set_index("trial_id")
    trials = dict(zip(done.index, zip(done["system"], done["proportion"], strict=True), strict=True))
    for place, image in enumerate(captions.images):
        _check(path, f"images.{place}.said", image, trials)
    return captions


def _check(path: Path, where: str, image: CaptionedImage, trials: Mapping[str, tuple[str, float]]) -> None:
    """Checks the trials of an image's captions against those of the results, (system, proportion) by identity."""
    seen = set()
    for place, caption in enumerate(image.said):
        point = (caption.system, caption.proportion)
        system, proportion = trials.get(caption.trial_id, ("", math.nan))
        if system != caption.system or not math.isclose(proportion, caption.proportion):
            what = f"trial_id {caption.trial_id!r} is no done trial of {caption.system!r} at {caption.proportion:g}"
            raise UserError(f"{path}: {where}.{place}: {what} in the results; {REMEDY}")
        if point in seen:
            what = f"a second text of {caption.system!r} at {caption.proportion:g}"
            raise UserError(f"{path}: {where}.{place}: {what}; {REMEDY}")
        seen.add(point)
