"""What the numbers cost: time of the sweep, and of a trial of each system."""

from __future__ import annotations

from reports.analysis.statistics import summarise
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render

MEASURES = {  # column of results.csv → heading, decimals
    "train_seconds": ("Training, s a trial", 1),
    "images_per_second": ("Training, images/s", 0),
    "test_ms_per_image": ("Test, ms an image", 3),
    "epochs": ("Epochs a trial", 1),
}


@register(place=80)
def cost(sources: Sources) -> Artefact:
    """The section on time: the sweep's, and per system the means over its finished trials."""
    tidy = summarise(sources.results, list(MEASURES), ["system"])
    cells = {(row.system, row.metric): row for row in tidy.itertuples(index=False)}
    html = render("cost.html", sweep=sources.sweep, names=sources.names, measures=MEASURES, cells=cells)
    return Artefact(title="Time", html=html)
