"""The searches for settings in the evidence: SYSTEM.json and, trial by trial, SYSTEM.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.errors import UserError
from reports.inputs.columns import LARGEST, read_columns, refuse, refuse_outside
from reports.inputs.documents import Anything, Count, Document, Number, Percentage, Proportion, read_document
from reports.inputs.paths import shortened

REMEDY = "correct the file or remove both files of the search"
STATES = ("complete", "pruned", "failed")
COLUMNS = {
    "number": "whole",
    "state": "text",
    "score": "number",  # mean validation accuracy over the cells, percent
    "cells": "whole",
    "seconds": "number",
}


class Best(Document):
    """The trial with the best score, in percent."""

    number: Count
    score: Percentage


class Search(Document):
    """One search: its space, its budget and its outcome. `trials` has the columns of `COLUMNS`, and one per parameter.

    `budget` is plain text or a mapping, as the search wrote it.
    """

    system: str
    command: str
    git_sha: str | None
    git_dirty: bool | None = None
    budget: Anything
    proportions: list[Proportion]
    repetitions: list[Count]
    space: dict[str, str]
    chosen: dict[str, Anything]
    best: Best
    shipped_score: Percentage | None
    importances: dict[str, Number]
    trials: pd.DataFrame


def read_searches(folder: Path) -> dict[str, Search]:
    """Reads every search of the folder, by system; none without the folder.

    Raises:
        UserError: a file is wrong, or one of the two files of a search is missing.
    """
    stems = sorted({path.stem for kind in ("json", "csv") for path in folder.glob(f"[!.]*.{kind}")})
    return {stem: _read(folder, stem) for stem in stems}


def _read(folder: Path, stem: str) -> Search:
    path, trials = folder / f"{stem}.json", _read_trials(folder / f"{stem}.csv")
    try:
        search = read_document(path, Search, REMEDY, trials=trials)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {REMEDY}") from None
    if search.system != stem:
        raise UserError(f"{path} is about {shortened(search.system)}, not {stem}; {REMEDY}")
    unknown = [f"params_{name}" for name in search.space if f"params_{name}" not in trials.columns]
    if unknown:
        raise UserError(f"{folder / stem}.csv lacks the column(s) {shortened(', '.join(unknown))}; {REMEDY}")
    return search


def _read_trials(path: Path) -> pd.DataFrame:
    table = read_columns(path, COLUMNS, ("number", "state"), REMEDY)
    refuse(path, table, "state", ~table["state"].isin(STATES), f"is none of {', '.join(STATES)}", REMEDY)
    without = (table["state"] == "complete") & table["score"].isna()
    refuse(path, table, "score", without, "is not a percentage", REMEDY)
    refuse_outside(path, table, ("score",), 0, 100, REMEDY)
    refuse_outside(path, table, ("number", "cells", "seconds"), 0, LARGEST, REMEDY)
    refuse(path, table, "number", table["number"].duplicated(), "is there twice", REMEDY)
    return table.sort_values("number", ignore_index=True)
