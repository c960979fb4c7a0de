"""Trials that failed or never ran, with their reasons: what the tables show as missing."""

from __future__ import annotations

from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render


@register(place=70)
def gaps(sources: Sources) -> Artefact:
    """The section that names every gap, or says that there is none."""
    rows = sources.results[sources.results["status"] != "done"].to_dict("records")
    html = render("gaps.html", rows=rows, names=sources.names)
    return Artefact(title="Failed and missing trials", html=html)
