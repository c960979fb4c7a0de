"""gallery/captions.json: some test images, their references, and what each system says of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, Field, ValidationError

from reports.errors import UserError
from reports.inputs.gallery import explain

REMEDY = "`python -m experiments run` writes it"


class Saying(BaseModel):
    """What one trial says of one image. `log_likelihood` is log p(text | image) in nats, None for a system without
    a likelihood; `words` counts the text's words and its end."""

    trial_id: str
    system: str
    proportion: float
    xi: float | str | None
    text: str
    log_likelihood: float | None = Field(allow_inf_nan=False)
    words: int = Field(ge=1)

    @property
    def perplexity(self) -> float | None:
        """exp(−log p / words): how many equally likely words a word of the text is worth."""
        return None if self.log_likelihood is None else math.exp(min(700.0, -self.log_likelihood / self.words))


class Described(BaseModel):
    """A test image, in a PNG file beside captions.json, and what is said of it."""

    index: int
    file: str
    subset: Literal["same", "unseen"]
    references: list[str] = Field(min_length=1)
    said: list[Saying]


class Captions(BaseModel):
    """captions.json. `chosen` says how the images were chosen."""

    images: list[Described]
    chosen: str


def read_captions(folder: Path, results: pd.DataFrame) -> Captions | None:
    """The checked content of captions.json in this folder, None where there is none. UserError for a wrong value,
    for a trial that is not a done one of the results, and for a second text of a system and proportion."""
    path = folder / "captions.json"
    try:
        captions = Captions.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {REMEDY}") from None
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}; {REMEDY}") from None
    done = results[results["status"] == "done"].set_index("trial_id")
    trials = dict(zip(done.index, zip(done["system"], done["proportion"], strict=True), strict=True))
    for place, image in enumerate(captions.images):
        _check(path, f"images.{place}.said", image, trials)
    return captions


def _check(path: Path, where: str, image: Described, trials: Mapping[str, tuple[str, float]]) -> None:
    seen = set()
    for place, saying in enumerate(image.said):
        point = (saying.system, saying.proportion)
        system, proportion = trials.get(saying.trial_id, ("", math.nan))
        if system != saying.system or not math.isclose(proportion, saying.proportion):
            what = f"trial_id {saying.trial_id!r} is no done trial of {saying.system!r} at {saying.proportion:g}"
            raise UserError(f"{path}: {where}.{place}: {what} in the results; {REMEDY}")
        if point in seen:
            what = f"a second text of {saying.system!r} at {saying.proportion:g}"
            raise UserError(f"{path}: {where}.{place}: {what}; {REMEDY}")
        seen.add(point)
