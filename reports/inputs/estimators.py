"""The study of gradient estimators in the evidence: the error of one gradient, and results after equal time."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reports.inputs.columns import read_columns, refuse

REMEDY = "correct the file or remove it from the evidence"
READINGS = ("factorised", "shared")  # of q: the encoder pools by expectation, or with the decoder's switches
GRADIENT = {
    "estimator": "text",
    "reading": "text",
    "stage": "whole",  # epochs trained before measuring
    "draws": "whole",  # of the switches, for one gradient
    "bias": "number",  # ‖mean − exact‖ / ‖exact‖
    "bias_se": "number",  # the value that `bias` has by chance for an unbiased estimator
    "variance": "number",  # trace of the covariance / ‖exact‖²
    "ms_per_step": "number",
}
TRAINING = {
    "estimator": "text",
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
    if not path.exists():
        return None
    table = read_columns(path, GRADIENT, set(GRADIENT) - {"bias_se"}, REMEDY)
    _check_reading(path, table)
    refuse(path, table, "draws", table["draws"] < 0, "is below 0", REMEDY)
    for column in ("stage", "bias", "bias_se", "variance", "ms_per_step"):
        refuse(path, table, column, table[column] < 0, "is below 0", REMEDY)
    key = ["estimator", "reading", "stage", "draws"]
    refuse(path, table, "estimator", table.duplicated(key), "is there twice at one reading, stage and draws", REMEDY)
    return table if len(table) else None


def read_training(path: Path) -> pd.DataFrame | None:
    """Reads one row per estimator, reading of q and seed, after equal training time; None without the file.

    Raises:
        UserError: a wrong value, or two rows of one key.
    """
    if not path.exists():
        return None
    table = read_columns(path, TRAINING, TRAINING, REMEDY)
    _check_reading(path, table)
    refuse(path, table, "seconds", table["seconds"] <= 0, "is not above 0", REMEDY)
    refuse(path, table, "top1", ~table["top1"].between(0, 100), "is not a percentage", REMEDY)
    key = ["estimator", "reading", "seed"]
    refuse(path, table, "seed", table.duplicated(key), "is there twice for one estimator and reading", REMEDY)
    return table if len(table) else None


def _check_reading(path: Path, table: pd.DataFrame) -> None:
    refuse(path, table, "reading", ~table["reading"].isin(READINGS), f"is none of {', '.join(READINGS)}", REMEDY)
