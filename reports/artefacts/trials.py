"""The list of all trials, so that every number can be traced to its trials."""

from __future__ import annotations

from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render


@register(place=100)
def trials(sources: Sources) -> Artefact:
    """Makes the section with one row per trial of the grid."""
    rows = sources.results.astype(object).where(sources.results.notna(), None).to_dict("records")
    return Artefact(title="Every trial", html=render("trials.html", rows=rows, names=sources.names, kind=sources.kind))
