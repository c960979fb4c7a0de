"""The study of gradient estimators in the evidence: the error of one gradient, and results after equal time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.errors import UserError
from reports.inputs.columns import LARGEST, read_columns, refuse, refuse_outside
from reports.inputs.paths import is_there

REMEDY = "correct the file or remove it from the evidence"
READINGS = ("factorised", "shared")  # of q: the encoder pools by expectation, or with the decoder's switches
MOST_STAGES = 13  # as many as there are markers
GRADIENT = {
    "estimator": "name",
    "reading": "text",
    "stage": "whole",  # epochs trained before measuring
    "draws": "whole",  # of the switches, for one gradient
    "bias": "number",  # ‖mean − exact‖ / ‖exact‖
    "bias_se": "number",  # the value that `bias` has by chance for an unbiased estimator
    "variance": "number",  # trace of the covariance / ‖exact‖²
    "ms_per_step": "number",
}
TRAINING = {
    "estimator": "name",
    "reading": "text",
    "seed": "whole",
    "seconds": "number",  # of training
    "steps": "whole",
    "elbo": "number",  # nats per validation image
    "kl_switches": "number",  # nats per image
    "kl_code": "number",  # nats per image
    "top1": "number",  # percent of the validation images
}


def read_gradient(path: Path) -> pd.DataFrame | None:
    """Reads one row per estimator, reading of q, stage and number of draws; None without the file.

    Raises:
        UserError: a wrong value, or two rows of one key.
    """
    if not is_there(path, REMEDY):
        return None
    table = read_columns(path, GRADIENT, set(GRADIENT) - {"bias_se"}, REMEDY)
    _check_reading(path, table)
    refuse_outside(path, table, ("draws", "stage", "bias", "bias_se", "variance", "ms_per_step"), 0, LARGEST, REMEDY)
    if table["stage"].nunique() > MOST_STAGES:
        raise UserError(f"{path} has more than {MOST_STAGES} stages, more than a figure can mark; {REMEDY}")
    key = ["estimator", "reading", "stage", "draws"]
    refuse(path, table, "estimator", table.duplicated(key), "is there twice at one reading, stage and draws", REMEDY)
    return table.reset_index(drop=True) if len(table) else None


def read_training(path: Path) -> pd.DataFrame | None:
    """Reads one row per estimator, reading of q and seed, after equal training time; None without the file.

    Raises:
        UserError: a wrong value, or two rows of one key.
    """
    if not is_there(path, REMEDY):
        return None
    table = read_columns(path, TRAINING, TRAINING, REMEDY)
    _check_reading(path, table)
    refuse(path, table, "seconds", table["seconds"] <= 0, "is not above 0", REMEDY)
    refuse_outside(path, table, ("seed", "steps"), 0, LARGEST, REMEDY)
    refuse_outside(path, table, ("top1",), 0, 100, REMEDY)
    key = ["estimator", "reading", "seed"]
    refuse(path, table, "seed", table.duplicated(key), "is there twice for one estimator and reading", REMEDY)
    return table.reset_index(drop=True) if len(table) else None


def _check_reading(path: Path, table: pd.DataFrame) -> None:
    refuse(path, table, "reading", ~table["reading"].isin(READINGS), f"is none of {', '.join(READINGS)}", REMEDY)
