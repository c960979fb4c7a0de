"""Every trial, so that every number can be traced."""

from __future__ import annotations

from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render


@register(place=100)
def trials(sources: Sources) -> Artefact:
    """The section with one row a trial of the grid."""
    rows = sources.results.astype(object).where(sources.results.notna(), None).to_dict("records")
    return Artefact(title="Every trial", html=render("trials.html", rows=rows, names=sources.names, kind=sources.kind))
