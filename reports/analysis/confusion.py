"""Which classes are taken for which: what is said of each class, accuracy by class, and the usual mistakes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def confusion(labels: np.ndarray, guesses: Sequence[np.ndarray]) -> pd.DataFrame:
    """Returns how often the images of a class were said to be of a class, over all the guesses.

    Columns: true, said, count (above 0) and share, in percent of what was said of the true class; sorted by both
    classes. Only what occurs is kept: with many classes that is far less than the whole matrix.

    Args:
        labels: the true classes, integers [n].
        guesses: what each trial says, integers [n].
    """
    said = pd.DataFrame({"true": np.tile(labels, len(guesses)), "said": np.concatenate(guesses)})
    counts = said.groupby(["true", "said"]).size().rename("count").reset_index()
    return counts.assign(share=100 * counts["count"] / counts.groupby("true")["count"].transform("sum"))


def accuracies(counts: pd.DataFrame, classes: int) -> np.ndarray:
    """Returns the percentage [C] of each class's images that are recognised; missing for a class without images."""
    found = np.full(classes, np.nan)
    found[counts["true"].unique()] = 0.0
    right = counts[counts["true"] == counts["said"]]
    found[right["true"]] = right["share"]
    return found


def matrix(counts: pd.DataFrame, classes: int) -> np.ndarray:
    """Returns the shares [C, C] in percent, a row per true class; rows of classes without images are missing."""
    shares = np.full((classes, classes), np.nan)
    shares[counts["true"].unique()] = 0.0
    shares[counts["true"], counts["said"]] = counts["share"]
    return shares


def mistakes(counts: pd.DataFrame, most: int) -> pd.DataFrame:
    """Returns the mistakes made most often, at most so many rows of `confusion`, the most frequent first."""
    wrong = counts[counts["true"] != counts["said"]]
    return wrong.sort_values(["count", "true", "said"], ascending=[False, True, True]).head(most)
