"""The trials that failed or never ran, which the tables show as missing, with their reasons."""

from __future__ import annotations

from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render


@register(place=70)
def gaps(sources: Sources) -> Artefact:
    """Makes the section that lists these trials, or says that there are none."""
    rows = sources.results[sources.results["status"] != "done"].to_dict("records")
    html = render("gaps.html", rows=rows, names=sources.names)
    return Artefact(title="Failed and missing trials", html=html)
