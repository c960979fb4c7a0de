"""results.csv as a checked, typed table: one row per trial of the grid, whether done or not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.errors import UserError
from reports.inputs.columns import read_columns, refuse, typed
from reports.inputs.score_columns import SCORE_COLUMNS, check_scores
from reports.result_kinds import LABELS, kind_of

REMEDY = "`python -m experiments run` writes it"
STATUSES = ("done", "failed", "missing")

# The kinds of the columns, see `read_columns`. Results about captions also have `SCORE_COLUMNS`, and leave the
# accuracies empty.
COLUMNS = {
    "trial_id": "text",
    "dataset": "text",
    "system": "text",
    "proportion": "number",
    "xi": "text",  # ξ, the weight of the label term, as asked: "auto", a number, or "" for a system without it
    "seed": "whole",
    "labelled": "whole",
    "status": "text",
    "top1": "number",  # percent
    "top5": "number",  # percent
    "ece": "number",  # percent, expected calibration error
    "elbo": "number",  # nats per test image
    "epochs": "whole",
    "train_seconds": "number",
    "images_per_second": "number",
    "test_ms_per_image": "number",
    "device": "text",
    "git_sha": "text",
    "mlflow_run_id": "text",
    "xi_value": "number",  # ξ as a number
    "best_epoch": "whole",
    "kl_switches": "number",  # nats per image
    "reason": "text",
}
# Columns that tables of earlier sweeps lack; they are empty then.
LATER = {
    "threads": "text",  # CPU threads that computed the trial: a number, or several, such as "1, then 2"
}
NEVER_EMPTY = ("trial_id", "dataset", "system", "proportion", "seed", "status")
GRID = ["system", "proportion", "xi", "seed"]


def read_results(path: Path) -> pd.DataFrame:
    """Reads one row per trial, sorted by system, proportion, ξ and seed.

    Returns:
        The columns of `COLUMNS`, of `LATER` and, for results about captions (`kinds.kind_of`), of `SCORE_COLUMNS`;
        further columns are kept as text. ξ as asked is canonical: "0.0" becomes "0".

    Raises:
        UserError: something is missing or wrong; the message names file, line and column.
    """
    results = read_columns(path, COLUMNS, NEVER_EMPTY, REMEDY)
    if results.empty:
        raise UserError(f"{path} has a header but no trials; {REMEDY}")
    results = results.assign(**{column: "" for column in LATER if column not in results.columns})
    about_labels = kind_of(results) is LABELS
    if not about_labels:
        results = typed(path, results, SCORE_COLUMNS, (), REMEDY)
    results["xi"] = _canonical_xi(path, results)
    _check(path, results)
    (_check_accuracies if about_labels else _check_scores)(path, results)
    return results.sort_values(["system", "proportion", "xi", "seed"], kind="stable", ignore_index=True)


def _canonical_xi(path: Path, results: pd.DataFrame) -> pd.Series:
    text = results["xi"]
    words = text.isin(["", "auto"])
    numbers = pd.to_numeric(text.where(~words), errors="coerce").astype("float64")
    refuse(path, results, "xi", ~words & ~(numbers >= 0), 'is neither "auto" nor a number ≥ 0', REMEDY)
    return text.where(words, numbers.map("{:.6g}".format))


def _check(path: Path, results: pd.DataFrame) -> None:
    """Checks the values that every trial has, and that no two rows are about the same trial."""
    proportion = results["proportion"]
    refuse(path, results, "proportion", ~((proportion > 0) & (proportion <= 1)), "is outside (0, 1]", REMEDY)
    refuse(path, results, "status", ~results["status"].isin(STATUSES), f"is none of {', '.join(STATUSES)}", REMEDY)
    refuse(path, results, "trial_id", results["trial_id"].duplicated(), "is there twice", REMEDY)
    refuse(path, results, "trial_id", results.duplicated(GRID), "repeats the grid point of another trial", REMEDY)
    datasets = results["dataset"].unique()
    if len(datasets) > 1:
        raise UserError(f"{path} mixes the datasets {', '.join(datasets)}; a report is about one")


def _check_accuracies(path: Path, results: pd.DataFrame) -> None:
    done = results["status"] == "done"
    for metric in ("top1", "top5", "ece"):
        refuse(path, results, metric, done & ~results[metric].between(0, 100), "is not a percentage", REMEDY)


def _check_scores(path: Path, results: pd.DataFrame) -> None:
    check_scores(path, results, results["status"] == "done", REMEDY)
