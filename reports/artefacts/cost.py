"""The cost of the results: the time of the sweep, and of the trials of each system."""

from __future__ import annotations

from reports.analysis.statistics import summarise
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render

MEASURES = {  # from column of results.csv to heading, its unit in that of the column, and decimals
    "updates": ("Steps a trial", 1, 0),
    "images_drawn": ("Images drawn a trial", 1, 0),
    "operations": ("Operations a trial, 10¹²", 1e12, 2),
    "train_seconds": ("Training, s a trial", 1, 1),
    "images_per_second": ("Training, images/s", 1, 0),
    "test_ms_per_image": ("Test, ms an image", 1, 3),
}


@register(place=80)
def cost(sources: Sources) -> Artefact:
    """Makes the section on time: that of the sweep, and the means over the finished trials of each system."""
    tidy = summarise(sources.results, list(MEASURES), ["system"])
    cells = {(row.system, row.metric): row for row in tidy.itertuples(index=False)}
    html = render("cost.html", sweep=sources.sweep, names=sources.names, measures=MEASURES, cells=cells)
    return Artefact(title="Time", html=html)
