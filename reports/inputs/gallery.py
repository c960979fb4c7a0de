"""The gallery that a sweep writes beside results.csv: sweep.json and the pictures that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from reports.errors import UserError

REMEDY = "`python -m experiments run` writes it"


class Picture(BaseModel):
    """One picture of a trial; `kind` is "reconstructions" or "samples"."""

    file: str
    trial_id: str
    system: str
    proportion: float
    xi: float | str | None
    kind: str
    caption: str


class Counts(BaseModel):
    """The number of trials of the grid by status; `reused` counts those that were done before this sweep."""

    done: int
    failed: int
    missing: int
    reused: int


class Sweep(BaseModel):
    """The content of sweep.json: how, where and when the results were made. Times are in seconds, dates are text."""

    dataset: str
    profile: str
    command: str
    params: dict[str, Any]
    versions: dict[str, str]
    git_sha: str | None
    git_dirty: bool | None
    machine: dict[str, Any]
    workers: int
    started: str
    finished: str
    wall_seconds: float
    trial_seconds: float
    trials: Counts
    pictures: list[Picture]


def read_sweep(folder: Path) -> Sweep:
    """Reads sweep.json in this folder.

    Raises:
        UserError: it is missing or wrong.
    """
    path = folder / "sweep.json"
    try:
        return Sweep.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {REMEDY}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {REMEDY}") from None
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}; {REMEDY}") from None


def explain(error: ValidationError) -> str:
    """Formats the first mistake of a file, and its place in it."""
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where or 'the file'}: {first['msg']}"


def read_picture(folder: Path, file: str, named: str = "sweep.json") -> bytes:
    """Reads a PNG file of the gallery.

    Args:
        named: the file that names it, for messages.

    Raises:
        UserError: there is no such file, or it is not a PNG.
    """
    path = folder / file
    try:
        content = path.read_bytes()
    except OSError:
        raise UserError(f"{path}, named in {named}, cannot be read; {REMEDY}") from None
    if not content.startswith(b"\x89PNG"):
        raise UserError(f"{path}, named in {named}, is not a PNG; {REMEDY}")
    return content
