"""What an artefact is: files of the report, a section of its page, or both.

To add one, add a file to this folder with a registered function:

    @register(place=45)
    def calibration(sources: Sources) -> Artefact:
        '''Reliability of the predicted probabilities.'''
        return Artefact(files={"figures/calibration.png": ...}, title="Calibration", html=...)
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reports.sources import Sources


@dataclass(frozen=True)
class Artefact:
    """`files`: content by path under the report's folder. `html`: its section of the page, under the heading
    `title`; without one there is no section."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    title: str = ""
    html: str = ""


Maker = Callable[[Sources], Artefact]
_makers: dict[str, tuple[int, Maker]] = {}


def register(place: int) -> Callable[[Maker], Maker]:
    """Decorator that makes an artefact known by its function's name, at that place of the page (ascending;
    equal places by name). A name taken twice is a ValueError."""

    def add(maker: Maker) -> Maker:
        if maker.__name__ in _makers:
            raise ValueError(f"two artefacts are named {maker.__name__!r}")
        _makers[maker.__name__] = (place, maker)
        return maker

    return add


def makers() -> dict[str, Maker]:
    """Every artefact of this folder by name, in the order of the page."""
    package = importlib.import_module("reports.artefacts")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"reports.artefacts.{module.name}")
    return {name: maker for name, (place, maker) in sorted(_makers.items(), key=lambda item: (item[1][0], item[0]))}
