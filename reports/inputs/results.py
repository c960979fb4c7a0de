"""results.csv as a checked, typed table: one row per trial of the grid, whether done or not."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.errors import UserError
from reports.inputs.columns import LARGEST, NUMBER, read_columns, refuse, refuse_outside, typed
from reports.inputs.score_columns import SCORE_COLUMNS, check_scores
from reports.names import percent
from reports.result_kinds import LABELS, kind_of

REMEDY = "`python -m experiments run` writes it"
STATUSES = ("done", "failed", "missing")

# The kinds of the columns, see `read_columns`. Results about captions also have `SCORE_COLUMNS`, and leave the
# accuracies empty.
COLUMNS = {
    "trial_id": "name",
    "dataset": "name",
    "system": "name",
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
    "kl_switches": "number",  # nats per image
    "reason": "text",
}
# Columns that tables of earlier sweeps lack; they are empty then.
LATER = {
    "threads": "text",  # CPU threads that computed the trial: a number, or several, such as "1, then 2"
    "updates": "whole",  # steps of the optimiser
    "images_drawn": "whole",  # in all steps; a changed copy counts as another image
    "operations": "number",  # floating-point operations of training
    "doubts": "text",  # what speaks against a finished trial, such as that it is no better than chance
    "ece_scaled": "number",  # percent, calibration error after temperature scaling
    "temperature": "number",  # that of the scaling
}
NEVER_EMPTY = ("trial_id", "dataset", "system", "proportion", "seed", "status")
NEVER_NEGATIVE = (
    *("seed", "labelled", "epochs", "train_seconds", "images_per_second", "test_ms_per_image", "xi_value"),
    *("updates", "images_drawn", "operations", "temperature"),
)
IDENTITY = r"[\w.-]{1,64}"
MOST = {"systems": 200, "proportions": 200, "repetitions": 200}  # of one report; of a system, proportion and ξ
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
    results = typed(path, results, LATER, (), REMEDY)
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
    bad = ~words & ~(numbers.between(0, LARGEST) & text.str.fullmatch(NUMBER))
    refuse(path, results, "xi", bad, 'is neither "auto" nor a number ≥ 0', REMEDY)
    with_xi = (text != "").groupby(results["system"]).transform("any")
    refuse(path, results, "xi", (text == "") & with_xi, "is empty where other trials of its system have one", REMEDY)
    return text.where(words, (numbers + 0.0).map("{:.6g}".format))


def _check(path: Path, results: pd.DataFrame) -> None:
    """Checks the values that every trial has, and that no two rows are about the same trial."""
    proportion = results["proportion"]
    refuse(path, results, "proportion", ~((proportion > 0) & (proportion <= 1)), "is outside (0, 1]", REMEDY)
    refuse(path, results, "status", ~results["status"].isin(STATUSES), f"is none of {', '.join(STATUSES)}", REMEDY)
    refuse_outside(path, results, NEVER_NEGATIVE, 0, LARGEST, REMEDY)
    identity = results["trial_id"].str.fullmatch(IDENTITY)
    refuse(path, results, "trial_id", ~identity, "has more than letters, digits and . _ -", REMEDY)
    refuse(path, results, "trial_id", results["trial_id"].duplicated(), "is there twice", REMEDY)
    refuse(path, results, "trial_id", results.duplicated(GRID), "repeats the grid point of another trial", REMEDY)
    datasets = results["dataset"].unique()
    if len(datasets) > 1:
        named = " and ".join(map(repr, datasets[:2]))
        raise UserError(f"{path} mixes the datasets {named}; a report is about one")
    _check_size(path, results)


def _check_size(path: Path, results: pd.DataFrame) -> None:
    """Checks that there are not more systems, proportions and repetitions than a report can show and compare."""
    proportions = results["proportion"].drop_duplicates()
    alike = results["proportion"].isin(proportions[proportions.map(percent).duplicated()])
    refuse(path, results, "proportion", alike, "reads like another one in percent: round them", REMEDY)
    counts = {
        "systems": results["system"].nunique(),
        "proportions": len(proportions),
        "repetitions": int(results.groupby(["system", "proportion", "xi"]).size().max()),
    }
    for what, count in counts.items():
        if count > MOST[what]:
            raise UserError(f"{path} has {count:,} {what}, and a report shows {MOST[what]} at most: leave some out")


def _check_accuracies(path: Path, results: pd.DataFrame) -> None:
    done = results["status"] == "done"
    for metric in ("top1", "top5", "ece"):
        refuse(path, results, metric, done & results[metric].isna(), "is not a percentage", REMEDY)
    refuse_outside(path, results, ("top1", "top5", "ece", "ece_scaled"), 0, 100, REMEDY)
    refuse(path, results, "top5", results["top5"] < results["top1"] - 1e-6, "is below top1", REMEDY)


def _check_scores(path: Path, results: pd.DataFrame) -> None:
    check_scores(path, results, results["status"] == "done", REMEDY)
