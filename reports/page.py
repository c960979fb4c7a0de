"""index.html: the sections of all artefacts on one page, without scripts or anything to load."""

from __future__ import annotations

from collections.abc import Mapping

from reports.artefacts.contract import Artefact
from reports.writing.templating import render


def page(title: str, artefacts: Mapping[str, Artefact]) -> bytes:
    """Renders the page of all artefacts that have a section, each under an anchor of its name."""
    sections = {name: artefact for name, artefact in artefacts.items() if artefact.html}
    return f"{render('index.html', title=title, sections=sections)}\n".encode()
