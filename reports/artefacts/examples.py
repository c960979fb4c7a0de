"""What each system says of test images that nobody picked: a page of its own, and a section with the first few."""

from __future__ import annotations

from reports.artefacts.contract import Artefact, register
from reports.inputs.gallery import read_picture
from reports.inputs.sources import Sources
from reports.writing.embedding import data_uri
from reports.writing.examples import Shown, proportions_shown, show, systems_shown
from reports.writing.templating import render

FIRST = 8
# In a folder that DVC keeps whole: results about labels have no such page, and an output must always be there.
PAGE = "figures/examples.html"


@register(place=33, learns=("captions",))
def examples(sources: Sources) -> Artefact:
    """figures/examples.html and the section that leads there; none without captions.json or images in it."""
    captions = sources.captions
    if captions is None or not captions.images:
        return Artefact()
    shown = [_shown(sources, place) for place in range(len(captions.images))]
    values = {
        "systems": systems_shown(captions, sources.names),
        "proportions": proportions_shown(captions),
        "chosen": captions.chosen,
        "total": len(shown),
        "same": sum(entry.image.subset == "same" for entry in shown),
        "silent": _silent(sources),
        "page": PAGE,
    }
    style = render("examples.css")
    title = f"What is said of test images: {sources.sweep.dataset}"
    page = render("examples.html", title=title, shown=shown, style=style, sweep=sources.sweep, **values)
    section = render("examples-section.html", shown=shown[:FIRST], **values)
    return Artefact({PAGE: f"{page}\n".encode()}, "What is said of test images", section, style)


def _shown(sources: Sources, place: int) -> Shown:
    image = sources.captions.images[place]
    png = read_picture(sources.gallery, image.file, "captions.json")
    return show(image, data_uri(png), png)


def _silent(sources: Sources) -> list[str]:
    """Labels of the systems that say something but have no likelihood anywhere."""
    said = [saying for image in sources.captions.images for saying in image.said]
    likely = {saying.system for saying in said if saying.log_likelihood is not None}
    return [name.label for name in systems_shown(sources.captions, sources.names) if name.system not in likely]
