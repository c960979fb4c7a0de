"""Paired differences in caption scores: could the lead of ours over another system be chance?"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from reports.analysis.comparison import EACH, POOLED, against_all, compare
from reports.analysis.statistics import INTERVAL, coverage_limit, headline
from reports.artefacts.contract import Artefact, register
from reports.artefacts.differences import family_facts, row_heading, signed
from reports.drawing import style as drawing
from reports.drawing.differences import score_difference_figure
from reports.inputs.sources import Sources
from reports.scores import SCORES
from reports.writing import listing
from reports.writing.embedding import figure_section
from reports.writing.listing import Listing
from reports.writing.templating import number, render

COMPARED = ("bleu4", "cider")
HEAD = ["System", "Against", "Captions", "n", "Difference", "95 % interval", "Above 0 in", "p", "Corrected p"]


@register(place=35, learns=("captions",))
def caption_differences(sources: Sources) -> Artefact:
    """Makes figures/differences.*, tables/differences.* and their section.

    Without a pair of systems to compare, figure and table are empty, and there is no section.
    """
    rows = headline(sources.results)
    compared = {SCORES[score].title: compare(rows, sources.names, score, against_all) for score in COMPARED}
    tidy = pd.concat([part.assign(score=score) for score, part in zip(COMPARED, compared.values(), strict=True)])
    files = drawing.files(score_difference_figure(compared, sources.names), "differences")
    table = _listing(compared, sources)
    files |= listing.files(table, tidy[["score", *tidy.columns.drop("score")]], "differences")
    if tidy.empty:
        return Artefact(files)
    caption = (
        "Paired differences in BLEU-4 and CIDEr: ours − another system with the same captioned images, against the "
        f"captioned proportion (logarithmic). Bars: {INTERVAL}; above the line ours is better."
    )
    first = compared[SCORES[COMPARED[0]].title]  # families have the same sizes in both scores
    html = render(
        "caption-differences.html",
        figure=figure_section(files["figures/differences.svg"], "differences", caption),
        table=listing.html(table),
        families={
            family: family_facts(first[first["family"] == family])
            for family in (POOLED, EACH)
            if _has_repetitions(first, family)
        },
        most=int(first["n"].max()),
        coverage=coverage_limit(int(first["n"].max())),
    )
    return Artefact(files, "Paired differences", html)


def _has_repetitions(table: pd.DataFrame, family: str) -> bool:
    return bool(table.loc[table["family"] == family, "n"].any())


def _listing(compared: dict[str, pd.DataFrame], sources: Sources) -> Listing:
    groups = {
        title: [[*row_heading(row, sources.names), *_cells(row)] for row in part.to_dict("records")]
        for title, part in compared.items()
    }
    note = (
        "p: two-sided sign flips; corrected p: max-T over all comparisons of a score at single proportions, or over "
        "all of its means; a/b: a of b repetitions."
    )
    caption = f"Differences in BLEU-4 and CIDEr on {sources.sweep.dataset}: ours − each other system."
    return Listing(caption, HEAD, groups, note, words=3)


def _cells(row: dict[str, Any]) -> list[str]:
    n = str(row["n"]) if row["n"] == row["asked"] else f"{row['n']}/{row['asked']}"
    ends = (signed(row["low"], 3), signed(row["high"], 3))
    interval = "—" if math.isnan(row["low"]) else " to ".join(ends)
    wins = f"{row['wins']} of {row['n']}" if row["n"] else "—"
    return [n, signed(row["mean"], 3), interval, wins, number(row["p"], 4), number(row["corrected"], 4)]
