"""The table of caption scores, every system at every captioned proportion."""

from __future__ import annotations

from reports.analysis.statistics import headline, labelled_images
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing import listing
from reports.writing.caption_tables import caption_table

# Eight scores are too many to stand side by side with their spread.
STYLE = "#caption_scores .spread { display: block; line-height: 1.15; }"


@register(place=20, learns=("captions",))
def caption_scores(sources: Sources) -> Artefact:
    """Makes tables/captions.{csv,md,tex,html} and the first table of the page."""
    table, tidy = caption_table(headline(sources.results), sources.names, labelled_images(sources.results))
    return Artefact(listing.files(table, tidy, "captions"), "Caption scores", listing.html(table), STYLE)
