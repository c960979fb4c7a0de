"""subsets.csv: each trial's scores on the test images whose captions were in training, and on the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.inputs.columns import LARGEST, read_columns, refuse, refuse_outside
from reports.inputs.paths import check_ordinary, is_there
from reports.inputs.score_columns import SCORE_COLUMNS, check_scores

REMEDY = "`python -m experiments run` writes it"
SUBSETS = ("same", "unseen")
COLUMNS = {
    "trial_id": "text",
    "subset": "text",  # "same": all references are, word for word, captions of training images too
    "images": "whole",
    **SCORE_COLUMNS,
}


def read_subsets(path: Path, results: pd.DataFrame) -> pd.DataFrame:
    """Reads one row per done trial and subset that has images.

    Returns:
        The columns of `COLUMNS`, and the trial's system, proportion, xi and seed from `results`; no rows where the file
        is absent or empty.

    Raises:
        UserError: a wrong value, a trial that is not done, or a subset that a trial has twice.
    """
    if is_there(path, REMEDY):
        check_ordinary(path, REMEDY)
    has_rows = is_there(path, REMEDY) and path.stat().st_size > 0
    table = read_columns(path, COLUMNS, ("trial_id", "subset", "images"), REMEDY) if has_rows else _no_rows()
    done = results[results["status"] == "done"]
    known = table["trial_id"].isin(done["trial_id"])
    refuse(path, table, "trial_id", ~known, "is no done trial of the results", REMEDY)
    refuse(path, table, "subset", ~table["subset"].isin(SUBSETS), f"is neither {' nor '.join(SUBSETS)}", REMEDY)
    refuse(path, table, "subset", table.duplicated(["trial_id", "subset"]), "is there twice for one trial", REMEDY)
    refuse_outside(path, table, ("images",), 0, LARGEST, REMEDY)
    check_scores(path, table, table["images"] > 0, REMEDY)
    grid = done[["trial_id", "system", "proportion", "xi", "seed"]]
    return table[table["images"] > 0].merge(grid, on="trial_id", how="left").assign(status="done")


def _no_rows() -> pd.DataFrame:
    kinds = {"text": "object", "whole": "Int64", "number": "float64"}
    return pd.DataFrame({column: pd.Series(dtype=kinds[kind]) for column, kind in COLUMNS.items()})
