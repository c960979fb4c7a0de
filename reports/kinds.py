"""The two kinds of results: what systems learn to say of an image, in which scores that is told, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from reports.scores import SCORES

ACCURACIES = {"top1": "top-1", "top5": "top-5"}  # column of results.csv → title


@dataclass(frozen=True)
class Kind:
    """What distinguishes reports about labels from reports about captions."""

    learns: str  # "labels" or "captions"
    given: str  # what an image with one is: "labelled" or "captioned"
    scores: Mapping[str, str]  # column of results.csv → title; the first ranks the systems
    digits: Mapping[str, int]  # column → decimals
    unit: str  # of the scores, after a title
    studied: tuple[str, ...]  # scores of the study of ξ
    table: str  # how the first table is called
    plot: str  # plots/PLOT.csv

    @property
    def first(self) -> str:
        return next(iter(self.scores))


_TOLD = ("bleu4", "meteor", "cider", "perplexity")

LABELS = Kind(
    learns="labels",
    given="labelled",
    scores=ACCURACIES,
    digits=dict.fromkeys(ACCURACIES, 2),
    unit=" (%)",
    studied=tuple(ACCURACIES),
    table="Table 1",
    plot="accuracy",
)
CAPTIONS = Kind(
    learns="captions",
    given="captioned",
    scores={column: SCORES[column].title for column in _TOLD},
    digits={column: score.digits for column, score in SCORES.items()},
    unit="",
    studied=("bleu4", "perplexity"),
    table="the table of caption scores",
    plot="captions",
)


def kind_of(results: pd.DataFrame) -> Kind:
    """Captions where there is a column of BLEU-4, else labels."""
    return CAPTIONS if "bleu4" in results.columns else LABELS
