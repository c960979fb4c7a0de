"""The captions of some test images: a page of its own, and a section with the first few of them.

The images are chosen by rule, not by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

from reports.artefacts.contract import Artefact, register
from reports.inputs.captions import Captions
from reports.inputs.gallery import read_picture
from reports.inputs.sources import Sources
from reports.names import Name
from reports.writing.embedding import data_uri
from reports.writing.examples import example, proportions_shown, systems_shown
from reports.writing.templating import render

FIRST = 8  # images in the section
# In a folder that DVC tracks as a whole: results about labels have no such page, and a tracked file must always exist.
PAGE = "figures/examples.html"


@register(place=33, learns=("captions",))
def examples(sources: Sources) -> Artefact:
    """Makes figures/examples.html and the section that links to it; nothing without images in captions.json."""
    captions = sources.captions
    if captions is None or not captions.images:
        return Artefact()
    shown = []
    for image in captions.images:
        png = read_picture(sources.gallery, image.file, "captions.json")
        shown.append(example(image, data_uri(png), png))
    values = {
        "systems": systems_shown(captions, sources.names),
        "proportions": proportions_shown(captions),
        "chosen": captions.chosen,
        "total": len(shown),
        "same": sum(entry.image.subset == "same" for entry in shown),
        "without_likelihood": _without_likelihood(captions, sources.names),
        "page": PAGE,
    }
    style = render("examples.css")
    title = f"Captions of test images: {sources.sweep.dataset}"
    page = render("examples.html", title=title, shown=shown, style=style, sweep=sources.sweep, **values)
    section = render("examples-section.html", shown=shown[:FIRST], **values)
    return Artefact({PAGE: f"{page}\n".encode()}, "Captions of test images", section, style)


def _without_likelihood(captions: Captions, names: Mapping[str, Name]) -> list[str]:
    """Returns the labels of the systems none of whose captions has a likelihood."""
    generated = [caption for image in captions.images for caption in image.said]
    with_likelihood = {caption.system for caption in generated if caption.log_likelihood is not None}
    return [name.label for name in systems_shown(captions, names) if name.system not in with_likelihood]
