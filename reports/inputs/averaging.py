"""averaging.csv: accuracy, calibration and time of each trial by N_s, the number of codes averaged over."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.inputs.columns import LARGEST, read_columns, refuse, refuse_outside
from reports.inputs.paths import is_there

REMEDY = "`python -m experiments run` writes it"
COLUMNS = {
    "trial_id": "text",
    "draws": "whole",  # N_s; 0 is the mean code
    "top1": "number",  # percent
    "top5": "number",  # percent
    "ece": "number",  # percent
    "ms_per_image": "number",
}


def read_averaging(path: Path, results: pd.DataFrame) -> pd.DataFrame:
    """Reads one row per done trial and N_s, for the trials that average over codes.

    Returns:
        The columns of `COLUMNS`, and the trial's system, proportion, xi and seed from `results`; no rows where there is
        no such file.

    Raises:
        UserError: a wrong value, a trial that is not done, or an N_s that a trial has twice.
    """
    table = (
        read_columns(path, COLUMNS, COLUMNS, REMEDY) if is_there(path, REMEDY) else pd.DataFrame(columns=list(COLUMNS))
    )
    done = results[results["status"] == "done"]
    refuse(
        path, table, "trial_id", ~table["trial_id"].isin(done["trial_id"]), "is no done trial of the results", REMEDY
    )
    refuse_outside(path, table, ("draws", "ms_per_image"), 0, LARGEST, REMEDY)
    refuse_outside(path, table, ("top1", "top5", "ece"), 0, 100, REMEDY)
    twice = table.duplicated(["trial_id", "draws"])
    refuse(path, table, "draws", twice, "is there twice for one trial", REMEDY)
    return table.merge(done[["trial_id", "system", "proportion", "xi", "seed"]], on="trial_id", how="left")
