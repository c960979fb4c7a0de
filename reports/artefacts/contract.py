"""What an artefact is: files of the report, a section of its page, or both.

To add one, add a file to this folder with a registered function:

    @register(place=45, learns=("labels",))
    def calibration(sources: Sources) -> Artefact:
        '''Reliability of the predicted probabilities.'''
        return Artefact(files={"figures/calibration.png": ...}, title="Calibration", html=...)

Without `learns` it is made of results about labels and of results about captions.
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
    """`files`: content by path under the report's folder. `html`: its section of the page, under the heading
    `title`; without one there is no section. `style`: what its section needs beyond style.css."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    title: str = ""
    html: str = ""
    style: str = ""


Maker = Callable[[Sources], Artefact]
_makers: dict[str, tuple[int, Maker, Collection[str]]] = {}


def register(place: int, learns: Collection[str] = KINDS) -> Callable[[Maker], Maker]:
    """Decorator that makes an artefact known by its function's name, at that place of the page (ascending;
    equal places by name), for results of these kinds. A name taken twice is a ValueError."""

    def add(maker: Maker) -> Maker:
        if maker.__name__ in _makers:
            raise ValueError(f"two artefacts are named {maker.__name__!r}")
        _makers[maker.__name__] = (place, maker, learns)
        return maker

    return add


def makers(kinds: Collection[str] = KINDS) -> dict[str, Maker]:
    """Every artefact of this folder for results of one of these kinds by name, in the order of the page."""
    package = importlib.import_module("reports.artefacts")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"reports.artefacts.{module.name}")
    known = sorted(_makers.items(), key=lambda item: (item[1][0], item[0]))
    return {name: maker for name, (_, maker, learns) in known if set(learns) & set(kinds)}
