"""The searches for settings in the evidence: search/SYSTEM.json and, trial by trial, search/SYSTEM.csv."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from reports.errors import UserError
from reports.inputs.columns import read_columns, refuse

REMEDY = "correct the file or remove both files of the search"
STATES = ("complete", "pruned", "failed")
COLUMNS = {
    "number": "whole",
    "state": "text",
    "score": "number",  # mean validation accuracy over the cells, percent
    "cells": "whole",
    "seconds": "number",
}


class _Document(RootModel[dict[str, Any]]):
    """Any JSON object."""


class Best(BaseModel):
    """The trial with the best score, in percent."""

    number: int
    score: float


class Search(BaseModel):
    """One search: its space, its budget and its outcome. `trials` has the columns of `COLUMNS`, and one per parameter.

    `budget` is plain text or a mapping, as the search wrote it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    system: str
    command: str
    git_sha: str | None
    git_dirty: bool | None = None
    budget: Any
    proportions: list[float]
    repetitions: list[int]
    space: dict[str, str]
    chosen: dict[str, Any]
    best: Best
    shipped_score: float | None
    importances: dict[str, float]
    trials: pd.DataFrame


def read_searches(folder: Path) -> dict[str, Search]:
    """Reads every search of the folder, by system; none without the folder.

    Raises:
        UserError: a file is wrong, or one of the two files of a search is missing.
    """
    stems = sorted({path.stem for kind in ("json", "csv") for path in folder.glob(f"*.{kind}")})
    return {stem: _read(folder, stem) for stem in stems}


def _read(folder: Path, stem: str) -> Search:
    path, trials = folder / f"{stem}.json", _read_trials(folder / f"{stem}.csv")
    try:
        search = Search.model_validate(_Document.model_validate_json(path.read_bytes()).root | {"trials": trials})
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {REMEDY}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {REMEDY}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UserError(f"{path}: {where or 'the file'}: {first['msg']}; {REMEDY}") from None
    if search.system != stem:
        raise UserError(f"{path} is about {search.system}, not {stem}; {REMEDY}")
    unknown = [name for name in search.space if f"params_{name}" not in trials.columns]
    if unknown:
        raise UserError(f"{folder / stem}.csv lacks the column(s) params_{', params_'.join(unknown)}; {REMEDY}")
    return search


def _read_trials(path: Path) -> pd.DataFrame:
    table = read_columns(path, COLUMNS, ("number", "state"), REMEDY)
    refuse(path, table, "state", ~table["state"].isin(STATES), f"is none of {', '.join(STATES)}", REMEDY)
    bad = (table["state"] == "complete") & ~table["score"].between(0, 100)
    refuse(path, table, "score", bad, "is not a percentage", REMEDY)
    refuse(path, table, "number", table["number"].duplicated(), "is there twice", REMEDY)
    return table.sort_values("number", ignore_index=True)
