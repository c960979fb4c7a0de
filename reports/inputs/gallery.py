"""The gallery that a sweep writes beside results.csv: sweep.json and the pictures that it names."""

from __future__ import annotations

from pathlib import Path

from reports.errors import UserError
from reports.inputs.documents import Anything, Count, Document, FileName, Proportion, Seconds, read_document
from reports.inputs.paths import read_file

REMEDY = "`python -m experiments run` writes it"
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"IEND\xaeB`\x82"
SHORTEST = 45  # bytes: the signature, and the first and last chunk without anything between them


class Picture(Document):
    """One picture of a trial; `kind` is "reconstructions" or "samples"."""

    file: FileName
    trial_id: str
    system: str
    proportion: Proportion
    xi: float | str | None
    kind: str
    caption: str


class Counts(Document):
    """The number of trials of the grid by status; `reused` counts those that were done before this sweep."""

    done: Count
    failed: Count
    missing: Count
    reused: Count


class Sweep(Document):
    """The content of sweep.json: how, where and when the results were made. Times are in seconds, dates are text."""

    dataset: str
    profile: str
    command: str
    params: dict[str, Anything]
    versions: dict[str, str]
    git_sha: str | None
    git_dirty: bool | None
    machine: dict[str, Anything]
    workers: Count
    started: str
    finished: str
    wall_seconds: Seconds
    trial_seconds: Seconds
    trials: Counts
    pictures: list[Picture]


def read_sweep(folder: Path) -> Sweep:
    """Reads sweep.json in this folder.

    Raises:
        UserError: it is missing or wrong.
    """
    path = folder / "sweep.json"
    try:
        return read_document(path, Sweep, REMEDY)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {REMEDY}") from None


def read_picture(folder: Path, file: str, named: str = "sweep.json") -> bytes:
    """Reads a PNG file of the gallery.

    Args:
        named: the file that names it, for messages.

    Raises:
        UserError: there is no such file, or it is not a PNG, or not the whole of one.
    """
    path = folder / file
    try:
        content = read_file(path, f"{named} names it; {REMEDY}")
    except FileNotFoundError:
        raise UserError(f"{path}, named in {named}, cannot be read; {REMEDY}") from None
    if not content.startswith(PNG_START):
        raise UserError(f"{path}, named in {named}, is not a PNG; {REMEDY}")
    if len(content) < SHORTEST or not content.endswith(PNG_END):
        raise UserError(f"{path}, named in {named}, is cut off; {REMEDY}")
    return content
