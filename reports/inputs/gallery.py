"""The gallery: what a sweep leaves beside results.csv, sweep.json and the pictures it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from reports.errors import UserError

REMEDY = "`python -m experiments run` writes it"


class Picture(BaseModel):
    """One picture of a trial; `kind` is `reconstructions` or `samples`."""

    file: str
    trial_id: str
    system: str
    proportion: float
    xi: float | str | None
    kind: str
    caption: str


class Counts(BaseModel):
    """Trials of the grid by what became of them; `reused` are those done before this sweep."""

    done: int
    failed: int
    missing: int
    reused: int


class Sweep(BaseModel):
    """sweep.json: how, where and when the results were made. Times in seconds; dates as text."""

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
    """The checked content of sweep.json in this folder; UserError where it is missing or wrong."""
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
    """The first thing that is wrong, and where in the file."""
    first = error.errors()[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where or 'the file'}: {first['msg']}"


def read_picture(folder: Path, file: str, named: str = "sweep.json") -> bytes:
    """Bytes of that PNG file of the gallery, which `named` names; UserError where there is none."""
    path = folder / file
    try:
        content = path.read_bytes()
    except OSError:
        raise UserError(f"{path}, named in {named}, cannot be read; {REMEDY}") from None
    if not content.startswith(b"\x89PNG"):
        raise UserError(f"{path}, named in {named}, is not a PNG; {REMEDY}")
    return content
