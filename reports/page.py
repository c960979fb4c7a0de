"""index.html: one self-contained page from the sections of the artefacts. No script, nothing loaded."""

from __future__ import annotations

from collections.abc import Mapping

from reports.artefacts.contract import Artefact
from reports.writing.templating import render


def page(title: str, artefacts: Mapping[str, Artefact]) -> bytes:
    """The page of all artefacts that have a section, each under an anchor of its name."""
    sections = {name: artefact for name, artefact in artefacts.items() if artefact.html}
    return f"{render('index.html', title=title, sections=sections)}\n".encode()
