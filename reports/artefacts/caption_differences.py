"""Paired differences in caption scores: is what ours is above another system more than chance?"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from reports.analysis.comparison import EACH, POOLED, against_all, compare
from reports.analysis.statistics import INTERVAL, coverage_limit, headline
from reports.artefacts.contract import Artefact, register
from reports.artefacts.differences import family, signed, who
from reports.drawing import style as drawing
from reports.drawing.differences import score_difference_figure
from reports.inputs.sources import Sources
from reports.scores import SCORES
from reports.writing import listing
from reports.writing.embedding import figure_section
from reports.writing.listing import Listing
from reports.writing.templating import number, render

COMPARED = ("bleu4", "cider")
HEAD = ["System", "Against", "Captions", "n", "Difference", "95 % interval", "Above 0 in", "p", "Holm p"]


@register(place=35, learns=("captions",))
def caption_differences(sources: Sources) -> Artefact:
    """figures/differences.*, tables/differences.* and their section; both say so without a pair to compare."""
    rows = headline(sources.results)
    compared = {SCORES[score].title: compare(rows, sources.names, score, against_all) for score in COMPARED}
    tidy = pd.concat([part.assign(score=score) for score, part in zip(COMPARED, compared.values(), strict=True)])
    files = drawing.files(score_difference_figure(compared, sources.names), "differences")
    found = _listing(compared, sources)
    files |= listing.files(found, tidy[["score", *tidy.columns.drop("score")]], "differences")
    if tidy.empty:
        return Artefact(files)
    caption = (
        "Paired differences in BLEU-4 and CIDEr: ours − another system with the same captioned images, against the "
        f"captioned proportion (logarithmic). Bars: {INTERVAL}; above the line ours is better."
    )
    one = compared[SCORES[COMPARED[0]].title]
    html = render(
        "caption-differences.html",
        figure=figure_section(files["figures/differences.svg"], "differences", caption),
        table=listing.html(found),
        families={name: family(one[one["family"] == name]) for name in (POOLED, EACH) if _any(one, name)},
        most=int(one["n"].max()),
        coverage=coverage_limit(int(one["n"].max())),
    )
    return Artefact(files, "Paired differences", html)


def _any(part: pd.DataFrame, name: str) -> bool:
    return bool(part.loc[part["family"] == name, "n"].any())


def _listing(compared: dict[str, pd.DataFrame], sources: Sources) -> Listing:
    groups = {
        title: [[*who(row, sources.names), *_cells(row)] for row in part.to_dict("records")]
        for title, part in compared.items()
    }
    note = (
        "p: two-sided sign flips; Holm p: corrected over all comparisons of a score at single proportions, or over "
        "all of its means; a/b: a of b repetitions."
    )
    caption = f"Differences in BLEU-4 and CIDEr on {sources.sweep.dataset}: ours − each other system."
    return Listing(caption, HEAD, groups, note, words=3)


def _cells(row: dict[str, Any]) -> list[str]:
    n = str(row["n"]) if row["n"] == row["asked"] else f"{row['n']}/{row['asked']}"
    ends = (signed(row["low"], 3), signed(row["high"], 3))
    interval = "—" if math.isnan(row["low"]) else " to ".join(ends)
    wins = f"{row['wins']} of {row['n']}" if row["n"] else "—"
    return [n, signed(row["mean"], 3), interval, wins, number(row["p"], 4), number(row["holm"], 4)]
