"""What an artefact is, and the registry of all artefacts.

An artefact is a part of a report: files, a section of the page, or both. To add one, add a file to this folder with a
registered function:

    @register(place=45, learns=("labels",))
    def calibration(sources: Sources) -> Artefact:
        '''Makes figures/calibration.png and its section.'''
        return Artefact(files={"figures/calibration.png": ...}, title="Calibration", html=...)

`learns` names the kinds of results that it is made for; by default both, labels and captions.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from reports.inputs.sources import Sources

KINDS = ("labels", "captions")


@dataclass(frozen=True)
class Artefact:
    """What one function adds to a report.

    Attributes:
        files: content by path under the folder of the report.
        title: the heading of its section.
        html: its section of the page; without one there is none.
        style: CSS that its section needs beyond style.css.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    title: str = ""
    html: str = ""
    style: str = ""


Maker = Callable[[Sources], Artefact]
# The registry has the words and the shape of `data.registry`, which this package may not import.
_known: dict[str, tuple[int, Maker, Collection[str]]] = {}


def register(place: int, learns: Collection[str] = KINDS) -> Callable[[Maker], Maker]:
    """Makes an artefact known by the name of its function; a decorator.

    Args:
        place: its place on the page, ascending; artefacts with equal places are sorted by name.
        learns: the kinds of results that it is made for.

    Raises:
        ValueError: the name is taken.
    """

    def add(maker: Maker) -> Maker:
        if maker.__name__ in _known:
            raise ValueError(f"two artefacts are named {maker.__name__!r}")
        _known[maker.__name__] = (place, maker, learns)
        return maker

    return add


def makers(kinds: Collection[str] = KINDS) -> dict[str, Maker]:
    """Returns the artefacts for results of any of these kinds by name, in the order of the page."""
    _load()
    ordered = sorted(_known.items(), key=lambda item: (item[1][0], item[0]))
    return {name: maker for name, (_, maker, learns) in ordered if set(learns) & set(kinds)}


def _load() -> None:
    """Imports every module of this folder, so that its artefact registers itself."""
    package = importlib.import_module("reports.artefacts")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"reports.artefacts.{module.name}")
