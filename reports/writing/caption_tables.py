"""The tables of caption scores: a row per system, a column per score, a group of rows per captioned proportion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from reports.analysis.statistics import summarise
from reports.inputs.subsets import SUBSETS
from reports.names import Name, percent
from reports.scores import SCORES
from reports.writing import tables
from reports.writing.listing import Listing, Row
from reports.writing.tables import Cell

BOLD = "Bold: the best mean of a proportion, which may be best by chance."
ABOUT = "BLEU, METEOR and ROUGE-L lie in [0, 1]; of perplexity, which is per word, lower is better."
SUBSET_SCORES = ("bleu4", "meteor", "cider", "perplexity")

Place = tuple[str, float]  # system, proportion


def caption_table(
    headline: pd.DataFrame, names: Mapping[str, Name], labelled: Mapping[float, int]
) -> tuple[Listing, pd.DataFrame]:
    """Builds the table of the scores of these trials (`statistics.headline`), and its tidy numbers.

    A "place" is a system at a proportion. A score that no finished trial of a place has is "—"; a place without any
    finished trial shows how many were asked.

    Returns:
        The table; and the columns metric, system, proportion, mean, std, n, asked, trial_ids.
    """
    tidy = summarise(headline, list(SCORES), ["system", "proportion"])
    usual = int(tidy["asked"].mode().max())
    by_score = score_cells(tidy, usual, tuple(SCORES), _finished(headline))
    labels = tables.labels(headline, names)
    groups: dict[str, list[Row]] = {
        _heading(proportion, labelled): [
            [label, *(by_score[score].get((system, proportion), Cell()) for score in SCORES)]
            for system, label in labels.items()
            if ((tidy["system"] == system) & (tidy["proportion"] == proportion)).any()
        ]
        for proportion in sorted(tidy["proportion"].unique())
    }
    caption = f"Captions of the test images of {headline['dataset'].iloc[0]} by the proportion of training images with "
    note = " ".join(filter(None, [tables.note(usual), ABOUT, BOLD, _missing(tidy), _beyond(names)]))
    head = ["System", *(score.title for score in SCORES.values())]
    return Listing(f"{caption}captions.", head, groups, note, dense=True), tidy


def score_cells(
    tidy: pd.DataFrame, usual: int, scores: Sequence[str], finished: frozenset[Place]
) -> dict[str, dict[Place, Cell]]:
    """Formats the numbers of `statistics.summarise` as cells, by score and place.

    The best mean of each proportion is marked. A place whose trials finished without the score has no cell.

    Args:
        usual: the usual number of repetitions.
        finished: places with a finished trial.
    """
    ran = [place in finished for place in zip(tidy["system"], tidy["proportion"], strict=True)]
    blank = (tidy["n"] == 0) & pd.Series(ran, tidy.index, dtype=bool)
    by_score = {}
    for score in scores:
        rows = tidy[(tidy["metric"] == score) & ~blank]
        (cells,) = tables.cells(rows, {score: score}, usual, SCORES[score].digits).values()
        best = _best(rows, score)
        by_score[score] = {place: replace(cell, best=place in best) for place, cell in cells.items()}
    return by_score


def _best(rows: pd.DataFrame, score: str) -> set[Place]:
    """Returns the places with the best mean, as printed, at each proportion with more than one system."""
    best: set[Place] = set()
    for _, systems in rows[rows["n"] > 0].groupby("proportion"):
        printed = systems["mean"].map(f"{{:.{SCORES[score].digits}f}}".format).astype(float)
        extreme = printed.max() if SCORES[score].best == "highest" else printed.min()
        first = systems[printed == extreme]
        best |= set(zip(first["system"], first["proportion"], strict=True)) if len(systems) > 1 else set()
    return best


def _finished(headline: pd.DataFrame) -> frozenset[Place]:
    done = headline[headline["status"] == "done"]
    return frozenset(zip(done["system"], done["proportion"], strict=True))


def _heading(proportion: float, labelled: Mapping[float, int]) -> str:
    count = f" ({labelled[proportion]:,} captioned images)" if proportion in labelled else ""
    return f"{percent(proportion)} of the captions{count}"


def _missing(tidy: pd.DataFrame) -> str:
    n = tidy.groupby("metric")["n"].sum()
    return "METEOR was not computed: its program needs Java." if n["bleu4"] and not n["meteor"] else ""


def _beyond(names: Mapping[str, Name]) -> str:
    labels = [name.label for name in names.values() if name.origin == "beyond"]
    return f"Beyond the paper: {', '.join(labels)}." if labels else ""


def subset_table(subsets: pd.DataFrame, names: Mapping[str, Name], dataset: str) -> tuple[Listing, pd.DataFrame]:
    """Builds the table of scores on each of the two subsets of the test images, and its tidy numbers.

    Args:
        subsets: from `inputs.subsets.read_subsets`.

    Returns:
        The table; and the columns of `statistics.summarise` with the fewest and the most images of a trial's subset.
    """
    keys = ["system", "proportion", "subset"]
    tidy = summarise(subsets, list(SUBSET_SCORES), keys)
    images = subsets.groupby(keys)["images"].agg(fewest_images="min", most_images="max").reset_index()
    usual = int(tidy["asked"].mode().max())
    by_subset = {}
    for subset in SUBSETS:
        rows = tidy[tidy["subset"] == subset]
        places = frozenset(zip(rows["system"], rows["proportion"], strict=True))
        by_subset[subset] = score_cells(rows, usual, SUBSET_SCORES, places)
    counts = {(row.system, row.proportion, row.subset): _range_text(row) for row in images.itertuples()}
    groups: dict[str, list[Row]] = {
        f"{percent(proportion)} of the captions": [
            [name.label, subset, counts[system, proportion, subset]]
            + [by_subset[subset][score].get((system, proportion), Cell()) for score in SUBSET_SCORES]
            for subset in SUBSETS
            for system, name in names.items()
            if (system, proportion, subset) in counts
        ]
        for proportion in sorted(tidy["proportion"].unique())
    }
    caption = (
        f"Test images of {dataset} all of whose references are, word for word, captions of training images too (same), "
        "and the others (unseen)."
    )
    head = ["System", "Subset", "Images", *(SCORES[score].title for score in SUBSET_SCORES)]
    note = f"{tables.note(usual)} Bold: the best mean of a subset at a proportion, which may be best by chance."
    return Listing(caption, head, groups, note, words=2, dense=True), tidy.merge(images, on=keys)


def _range_text(row: Any) -> str:
    """Formats the number of images of a row of a table: one number, or "a to b"."""
    ends = dict.fromkeys([f"{row.fewest_images:,}", f"{row.most_images:,}"])
    return " to ".join(ends)
