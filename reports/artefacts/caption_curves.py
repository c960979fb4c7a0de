"""The figure of caption scores against the captioned proportion."""

from __future__ import annotations

from reports.analysis.statistics import INTERVAL, estimate, headline, labelled_images
from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.captions import DRAWN, caption_figure
from reports.inputs.sources import Sources
from reports.writing.embedding import figure_section


@register(place=30, learns=("captions",))
def caption_curves(sources: Sources) -> Artefact:
    """Makes figures/captions.{png,svg,pdf} and its section."""
    tidy = estimate(headline(sources.results), list(DRAWN), ["system", "proportion"])
    files = drawing.files(caption_figure(tidy, sources.names, labelled_images(sources.results)), "captions")
    caption = (
        f"Scores of the captions of {sources.sweep.dataset}’s test images against the proportion of training images "
        f"with captions (logarithmic). Lines: means over repetitions; bands and bars: {INTERVAL}. Dashed: systems that "
        "learn from captioned images alone. The axis of perplexity is logarithmic."
    )
    html = figure_section(files["figures/captions.svg"], "captions", caption)
    return Artefact(files, "Scores against captions", html)
