"""The two kinds of results, about labels and about captions: their scores, and the words that a report uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from reports.scores import SCORES

ACCURACIES = {"top1": "top-1", "top5": "top-5"}  # column of results.csv → title


@dataclass(frozen=True)
class Kind:
    """What distinguishes reports about labels from reports about captions.

    Attributes:
        learns: "labels" or "captions".
        annotated: what an image that has one is called, "labelled" or "captioned".
        scores: from column of results.csv to title; the first one ranks the systems.
        digits: from column to the number of decimals.
        unit: of the scores, as it follows their titles.
        studied: the scores drawn against ξ, the weight of the label or caption term.
        table: the name of the report's first table.
        plot: the name of the file plots/PLOT.csv.
    """

    learns: str
    annotated: str
    scores: Mapping[str, str]
    digits: Mapping[str, int]
    unit: str
    studied: tuple[str, ...]
    table: str
    plot: str

    @property
    def first(self) -> str:
        """The score that ranks the systems."""
        return next(iter(self.scores))


_REPORTED = ("bleu4", "meteor", "cider", "perplexity")

LABELS = Kind(
    learns="labels",
    annotated="labelled",
    scores=ACCURACIES,
    digits=dict.fromkeys(ACCURACIES, 2),
    unit=" (%)",
    studied=tuple(ACCURACIES),
    table="Table 1",
    plot="accuracy",
)
CAPTIONS = Kind(
    learns="captions",
    annotated="captioned",
    scores={column: SCORES[column].title for column in _REPORTED},
    digits={column: score.digits for column, score in SCORES.items()},
    unit="",
    studied=("bleu4", "perplexity"),
    table="the table of caption scores",
    plot="captions",
)


def kind_of(results: pd.DataFrame) -> Kind:
    """Returns the kind of these results: captions if they have a column of BLEU-4, else labels."""
    return CAPTIONS if "bleu4" in results.columns else LABELS
