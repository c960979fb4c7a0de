"""Reconstructions of images and samples from the prior, as drawn by the trials."""

from __future__ import annotations

from reports.artefacts.contract import Artefact, register
from reports.inputs.gallery import read_picture
from reports.inputs.sources import Sources
from reports.writing.embedding import data_uri
from reports.writing.templating import render


@register(place=60)
def pictures(sources: Sources) -> Artefact:
    """Makes the section with the pictures of the gallery, embedded; nothing without pictures."""
    shown = [
        {"picture": picture, "uri": data_uri(read_picture(sources.gallery, picture.file))}
        for picture in sources.sweep.pictures
    ]
    if not shown:
        return Artefact()
    about = {"names": sources.names, "learns": sources.kind.learns}
    return Artefact(title="Reconstructions and samples", html=render("pictures.html", shown=shown, **about))
