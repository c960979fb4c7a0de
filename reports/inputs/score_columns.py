"""The columns of caption scores in results.csv and subsets.csv, and the check of their values."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from reports.inputs.columns import refuse
from reports.scores import SCORES

SCORE_COLUMNS = dict.fromkeys(SCORES, "number")


def check_scores(path: Path, table: pd.DataFrame, due: pd.Series, remedy: str) -> None:
    """Raises a UserError for the first score that is outside its range, or empty though not optional.

    Args:
        due: bool, the rows that must have scores.
    """
    for column, score in SCORES.items():
        values = table[column]
        good = np.isfinite(values) & values.between(score.low, score.high)
        good |= values.isna() & score.optional
        span = f"≥ {score.low:g}" if math.isinf(score.high) else f"in [{score.low:g}, {score.high:g}]"
        refuse(path, table, column, (due | values.notna()) & ~good, f"is not a number {span}", remedy)
