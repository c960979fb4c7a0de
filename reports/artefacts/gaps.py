"""The trials that failed or never ran, which the tables show as missing, and those that ended and are doubtful."""

from __future__ import annotations

from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render


@register(place=70)
def gaps(sources: Sources) -> Artefact:
    """Makes the section that lists these trials, each with its reason, or says that there are none."""
    doubtful = sources.results[sources.results["doubts"] != ""].to_dict("records")
    rows = sources.results[sources.results["status"] != "done"].to_dict("records")
    html = render("gaps.html", rows=rows, doubtful=doubtful, names=sources.names)
    return Artefact(title="Failed, missing and doubtful trials", html=html)
