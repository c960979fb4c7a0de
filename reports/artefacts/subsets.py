"""Caption scores on the test images whose captions were in training, and on the others."""

from __future__ import annotations

from reports.analysis.statistics import headline
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.inputs.subsets import SUBSETS
from reports.writing import listing
from reports.writing.caption_tables import subset_table
from reports.writing.templating import render


@register(place=32, learns=("captions",))
def subsets(sources: Sources) -> Artefact:
    """Makes tables/subsets.* and their section; nothing unless there are scores of both subsets."""
    rows = sources.subsets[sources.subsets["trial_id"].isin(headline(sources.results)["trial_id"])]
    if set(rows["subset"]) != set(SUBSETS):
        return Artefact()
    table, tidy = subset_table(rows, sources.names, sources.sweep.dataset)
    html = render("subsets.html", table=listing.html(table))
    return Artefact(listing.files(table, tidy, "subsets"), "Captions seen in training, and others", html)
