"""What the files of a trial store may hold, and what is wrong with a file that holds something else."""

from __future__ import annotations

import math
from pathlib import Path
from reprlib import repr as brief
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError, from_json

Whole = Annotated[int, Field(ge=0, le=10**12)]
Number = Annotated[float, Field(ge=-1e38, le=1e38)]  # what float32 reaches: sums and squares of such stay finite
Amount = Annotated[float, Field(ge=0, le=1e12)]  # seconds, milliseconds, rates
Percent = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Stored(BaseModel):
    """The content of a stored file: its types are exact, and no number is infinite or NaN. Other keys may be there."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Axes(Stored):
    """What a trial is."""

    dataset: Line | None = None
    system: Line | None = None
    proportion: Annotated[float, Field(gt=0, le=1)] | None = None
    xi: Annotated[float, Field(ge=0)] | Line | None = None
    seed: Whole | None = None
    settings: dict[str, Any] | None = None
    devices: Annotated[int, Field(ge=1, le=10**6)] | None = None


class Config(Axes):
    """`config.json`."""

    identity: Line | None = None
    labelled: Whole | None = None


class Scores(Stored):
    """Scores of captions. METEOR needs Java, and perplexity a likelihood."""

    bleu1: Share | None = None
    bleu2: Share | None = None
    bleu3: Share | None = None
    bleu4: Share | None = None
    meteor: Share | None = None
    rouge_l: Share | None = None
    cider: Annotated[float, Field(ge=0, le=10.01)] | None = None
    perplexity: Annotated[float, Field(ge=1)] | None = None


class Averaged(Stored):
    """The test scores of predictions that are averaged over several codes."""

    draws: Whole  # 0 is the mean code
    top1: Percent
    top5: Percent
    ece: Percent
    ms_per_image: Amount


class Subset(Scores):
    """The scores of the captions of a part of the test images."""

    subset: Line
    images: Annotated[int, Field(ge=1, le=10**12)]


class Result(Scores):
    """`result.json`: of a trial that was tested, or of a search's trial, which has a validation measure alone."""

    identity: Line | None = None
    trial: Axes | None = None
    labelled: Whole | None = None
    epochs: Annotated[int, Field(ge=1, le=10**9)]
    updates: Whole | None = None
    images_drawn: Whole | None = None
    operations: Annotated[float, Field(ge=0, le=1e30)] | None = None
    doubts: list[Line] = []
    seconds: Amount
    top1: Percent | None = None
    top5: Percent | None = None
    ece: Percent | None = None
    ece_scaled: Percent | None = None
    temperature: Annotated[float, Field(gt=0, le=1e6)] | None = None
    validation_accuracy: Percent | None = None
    validation_cider: Annotated[float, Field(ge=0, le=10.01)] | None = None
    elbo: Number | None = None
    kl_switches: Number | None = None
    xi_value: Annotated[float, Field(ge=0, le=1e38)] | None = None
    parameters: Whole | None = None
    train_seconds: Amount | None = None
    images_per_second: Amount | None = None
    test_ms_per_image: Amount | None = None
    device: Line | None = None
    devices: Annotated[int, Field(ge=1, le=10**6)] | None = None
    threads: list[Annotated[int, Field(ge=1, le=10**6)]] | None = None
    stacked: Annotated[int, Field(ge=1, le=10**6)] | None = None
    averaging: list[Averaged] = []
    subsets: list[Subset] = []
    git_sha: Line | None = None
    git_dirty: bool | None = None
    versions: dict[Line, Line] | None = None
    finished_at: Amount | None = None

    @model_validator(mode="after")
    def _whole(self) -> Result:
        """Checks that the measures are all there, and that they agree."""
        captions = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")
        cost = ("train_seconds", "images_per_second", "test_ms_per_image", "device")
        labels = ("top1", "top5", "ece")
        tested = any(getattr(self, name) is not None for name in (*labels, *captions))
        if tested or (self.validation_accuracy is None and self.validation_cider is None):
            about_captions = any(getattr(self, name) is not None for name in captions)
            for name in (*(captions if about_captions else labels), *cost):
                if getattr(self, name) is None:
                    raise PydanticCustomError("missing_measure", "{name} is missing", {"name": name})
        if self.top1 is not None and self.top5 is not None and self.top1 > self.top5:
            raise PydanticCustomError("disagree", "top1 is above top5")
        return self


class EpochRow(Stored):
    """A line of `metrics.jsonl`."""

    __pydantic_extra__: dict[str, Number]
    epoch: Annotated[int, Field(ge=0, le=10**9)]
    time: Annotated[float, Field(ge=0, le=1e11)]


class Checkpoint(Stored):
    """`checkpoint.pt`, but for its tensors."""

    identity: Line | None = None
    learner: dict[Any, Any]
    rows: Annotated[list[EpochRow], Field(min_length=1)]
    seconds: Amount


class Failure(Stored):
    """`failure.json`."""

    reason: Annotated[str, Field(min_length=1)]
    details: str = ""


class Caption(Stored):
    """The caption of a test image."""

    image: Whole
    subset: Literal["same", "unseen"]
    text: str
    log_likelihood: Number | None
    words: Whole


class Captions(Stored):
    """`captions.json`."""

    captions: list[Caption]


class Captioner(Stored):
    """`captioner.json`: what is needed to use it. `vae.captioner` refuses other values that do not fit its weights."""

    architecture: dict[str, Any]
    decoding: Literal["beam", "greedy", "sample"]
    beams: Annotated[int, Field(ge=1, le=1000)]
    length_power: Annotated[float, Field(ge=0, le=5)]
    longest: Annotated[int, Field(ge=1, le=1000)]
    draws: Whole
    words: list[str]


class Counts(Stored):
    """The trials of a sweep by status."""

    done: Whole
    failed: Whole
    missing: Whole
    reused: Whole


class SweepFacts(Stored):
    """How a sweep was run."""

    dataset: Line
    profile: Line
    command: str
    params: dict[str, Any]
    versions: dict[str, str]
    git_sha: str | None
    git_dirty: bool | None
    machine: dict[str, Any]
    workers: Annotated[int, Field(ge=1, le=10**9)]
    started: Line
    finished: Line
    wall_seconds: Amount
    trial_seconds: Amount
    trials: Counts


def read(path: Path, schema: type[Stored]) -> tuple[dict[str, Any] | None, str]:
    """Reads a JSON file.

    Returns:
        Its content and "" where it holds; None and "" where there is no such file; else None and what is wrong with
        which key and value.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except OSError as error:
        return None, f"cannot be read ({error.strerror or error})"
    return parse(content, schema)


def parse(content: bytes, schema: type[Stored]) -> tuple[dict[str, Any] | None, str]:
    """Parses JSON and returns what `read` returns of a file with this content."""
    try:
        value = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        return None, f"is no JSON ({error})" if content.strip() else "is empty"
    if fault := fault_of(value, schema):
        return None, fault
    return value, ""


def fault_of(value: Any, schema: type[Stored], finite: bool = True) -> str:
    """Returns which key of a value is wrong, and why; "" where the value holds.

    Args:
        value: a plain value.
        schema: what it may be.
        finite: whether the numbers under other keys than the schema's must be finite, too.
    """
    try:
        schema.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"][:1].lower() + first["msg"][1:]
        if not first["loc"]:
            return message if isinstance(value, dict) else f"is {brief(value)} and no mapping"
        key = ".".join(str(step) for step in first["loc"] if not _is_branch(step))
        key = "".join(letter if letter.isprintable() else "?" for letter in key)[:100]
        return f"{key} is missing" if first["type"] == "missing" else f"{key} = {brief(first['input'])}: {message}"
    if finite and not _finite(value):
        return "a number in it is infinite"
    return ""


def _is_branch(step: int | str) -> bool:
    """Returns whether a step of an error's place names a branch of a union, not a key."""
    return isinstance(step, str) and ("constrained-" in step or step in ("str", "float"))


def _finite(value: Any) -> bool:
    """Returns whether no number in a plain value is infinite: JSON's 1e999 is, and other keys may hold it."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, list) or all(map(_finite, value))
