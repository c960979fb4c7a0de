"""The user's own pictures: a sub-folder for each class, or a table with a label or captions for each picture.

The table is either `images.csv`, with the columns path and label, or path and captions (several captions are separated
by '|'); or `images.jsonl`, with an object of the same fields in each line, where captions is a list. Paths are relative
to the folder and do not lead out of it.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from data.dataset import PARTS, Dataset
from data.errors import UserError
from data.formats.archives import LEADS_OUT, OnDisk
from data.formats.checks import as_catalogued, distinct
from data.formats.contract import Contents, Picture, register, shards_of
from data.formats.pictures import SUFFIXES
from data.formats.trees import code_points, is_picture, listed

TABLES = ("images.csv", "images.jsonl")
COLUMNS = ("path", "label", "captions")
LEAST = len(PARTS)  # pictures of a class: one for each part
SEPARATOR = "|"  # between captions in a CSV file


@dataclass(frozen=True)
class _Row:
    """A row of a table, with either a label or captions. `where` names the file and line in messages."""

    where: str
    path: str
    label: str
    captions: tuple[str, ...]


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields line numbers and fields of images.csv."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, strict=True)
        for row in table:
            captions = row.pop("captions", None)
            yield table.line_num, row if captions is None else {**row, "captions": captions.split(SEPARATOR)}


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields line numbers and fields of images.jsonl."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                row = json.loads(line)
                yield number, row if isinstance(row, dict) else {"": row}


def _text(where: str, what: str, value: Any) -> str:
    """Returns a value that is text, or "" for None. Raises UserError for any other."""
    if value is None:
        return ""
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UserError(f"{where}: {what} has half a character in it, {value!a}")
        return value
    written = f": write it as text, {json.dumps(_shown(value))}" if isinstance(value, int | float) else ""
    raise UserError(f"{where}: {what} must be text, not {_shown(value)}{written}")


def _shown(value: Any) -> str:
    """Returns a value as JSON has it, cut after a few letters."""
    text = json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
    return text if len(text) <= 40 else f"{text[:40]}…"


def _row(where: str, fields: Mapping[str, Any]) -> _Row:
    """Returns the checked row of those fields. Raises UserError where a field is unknown, missing or no text."""
    if unknown := [name for name in fields if name not in COLUMNS]:
        raise UserError(f"{where}: unknown column {unknown[0]!r}; known are {', '.join(COLUMNS)}")
    path, label = (_text(where, name, fields.get(name)) for name in ("path", "label"))
    captions = fields.get("captions")
    if not isinstance(captions, list | None):
        raise UserError(f"{where}: captions must be a list of texts, not {_shown(captions)}")
    captions = [_text(where, "a caption", caption) for caption in captions or ()]
    row = _Row(where, path, code_points(label.strip()), tuple(filter(None, map(str.strip, captions))))
    if not path:
        raise UserError(f"{where}: it has no path")
    if bool(row.label) == bool(row.captions):
        raise UserError(f"{where}: it must have either a label or captions")
    return row


def _rows(table: Path) -> list[_Row]:
    """Reads a table, in which either all rows have a label or all have captions. Raises UserError otherwise."""
    rows: list[_Row] = []
    number = 0  # of the last line that could be read
    try:
        for number, fields in (_csv if table.suffix == ".csv" else _jsonl)(table):
            rows.append(_row(f"{table}, line {number}", fields))
    except OSError as error:
        raise UserError(f"cannot read {table}: {error.strerror or error}") from error
    # UnicodeDecodeError and JSONDecodeError are ValueErrors; lists in lists in lists … are a RecursionError.
    except (ValueError, csv.Error, RecursionError) as error:
        raise UserError(f"{table}, near line {number + 1}: {error}") from error
    for row in rows:
        if bool(row.label) != bool(rows[0].label):
            raise UserError(f"{row.where}: some rows have labels, others captions; all must have the same")
    return rows


def _found(row: _Row, tree: Path, inside: Path) -> Path:
    """Returns the path of a row's picture without links. `inside` is the path of the folder without links.

    Raises UserError where there is no such file in the folder.
    """
    try:
        path = (inside / row.path).resolve()
        if LEADS_OUT.search(row.path) or not path.is_relative_to(inside):
            raise UserError(f"{row.where}: {row.path!r} leads out of the folder; paths are relative to {tree}")
        if path.is_file():
            return path
    except (OSError, ValueError, RuntimeError) as error:  # not a possible file name, or links in a circle
        raise UserError(f"{row.where}: {row.path!r} cannot be found ({error})") from error
    raise UserError(f"{row.where}: there is no file {row.path!r} in {tree}")


def _places(rows: list[_Row], tree: Path) -> Iterator[OnDisk]:
    """Yields the picture of each row. Raises UserError where two rows name the same file."""
    seen: dict[Path, str] = {}
    inside = tree.resolve()
    for row in rows:
        path = _found(row, tree, inside)
        if path in seen:
            raise UserError(f"{row.where}: {row.path!r} is in the table twice; also in {seen[path]}")
        seen[path] = row.where
        yield OnDisk(tree, str(PurePosixPath(row.path)))


def _of_table(table: Path) -> tuple[tuple[str, ...], list[Picture]]:
    """Returns the classes and pictures of a table, sorted by class, then by path."""
    rows = _rows(table)
    pairs = sorted(
        zip(rows, _places(rows, table.parent), strict=True), key=lambda pair: (pair[0].label, code_points(pair[1].name))
    )
    if rows and rows[0].captions:
        if len(rows) < LEAST:
            raise UserError(f"{table} has {len(rows)} pictures; {LEAST} are the least that can be cut into parts")
        return (), [Picture(place, None, row.captions) for row, place in pairs]
    classes = tuple(sorted({row.label for row in rows}))
    labels = {name: label for label, name in enumerate(classes)}
    return classes, [Picture(place, labels[row.label]) for row, place in pairs]


def _of_folders(tree: Path) -> tuple[tuple[str, ...], list[Picture]]:
    """Returns the classes and pictures of a folder with a sub-folder for each class, sorted by class, then by name."""
    folders, beside = listed(tree)
    if not folders:
        raise UserError(f"{tree} has neither a table, {' or '.join(TABLES)}, nor a folder of pictures for each class")
    for name in beside:
        if is_picture(name):
            raise UserError(f"{tree / name} is in no class's folder. Move it into one, or describe all in a table.")
    pictures = []
    for label, folder in enumerate(folders):
        within, names = listed(tree / folder)
        if within:
            raise UserError(
                f"{tree / folder} has a folder in it, {within[0]}: classes have none. Name pictures in a table instead."
            )
        for name in names:
            if not is_picture(name):
                raise UserError(
                    f"{tree / folder / name} is not a picture by its name ({', '.join(sorted(SUFFIXES))}): "
                    "convert it, or take it out of the class's folder"
                )
            pictures.append(Picture(OnDisk(tree, f"{folder}/{name}"), label))
    return tuple(map(code_points, folders)), pictures


@register("folder")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads one folder, of role tree."""
    tree = files["tree"]
    tables = [tree / name for name in TABLES if (tree / name).is_file()]
    if len(tables) > 1:
        raise UserError(f"{tree} has two tables, {' and '.join(TABLES)}: remove the one that is not meant")
    classes, pictures = _of_table(tables[0]) if tables else _of_folders(tree)
    if not pictures and not classes:
        raise UserError(f"{tables[0]} has no rows")
    where = tables[0] if tables else tree
    distinct(classes, where)
    counts = Counter(picture.label for picture in pictures)
    for label, name in enumerate(classes):
        if counts[label] < LEAST:
            raise UserError(
                f"{where}: class {name!r} has {counts[label]} pictures; {LEAST} are the least that can be cut into "
                f"{', '.join(PARTS)} parts"
            )
    return as_catalogued(dataset, classes, shards_of("train", pictures, dataset), where)
