"""Figure 1: accuracy against the labelled proportion."""

from __future__ import annotations

from reports.analysis.statistics import INTERVAL, estimate, headline, labelled_images
from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.accuracy import accuracy_figure
from reports.inputs.sources import Sources
from reports.result_kinds import ACCURACIES
from reports.writing.embedding import figure_section


@register(place=30, learns=("labels",))
def figure1(sources: Sources) -> Artefact:
    """Makes figures/figure1.{png,svg,pdf} and its section."""
    tidy = estimate(headline(sources.results), list(ACCURACIES), ["system", "proportion"])
    figure = accuracy_figure(tidy, sources.names, labelled_images(sources.results))
    files = drawing.files(figure, "figure1")
    caption = (
        f"Classification accuracy on the test images of {sources.sweep.dataset} against the proportion of "
        "training images with labels (logarithmic). Lines: means over repetitions; bands and bars: "
        f"{INTERVAL}. Dashed: systems that learn from labelled images alone. Numbers: Table 1."
    )
    return Artefact(files, "Figure 1", figure_section(files["figures/figure1.svg"], "figure1", caption))
