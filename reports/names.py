"""The names of systems in a report and their order: reports/paper/systems.csv, then systems it does not know."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEMS = Path(__file__).parent / "paper" / "systems.csv"


@dataclass(frozen=True)
class Name:
    """A system as a reader sees it.

    Attributes:
        system: its name in results.csv.
        label: its name in the report.
        learns_from: "all images", "labelled images", or "" where systems.csv does not know the system.
        origin: "paper" for the systems of the paper, "beyond" for every other.
        place: its rank, which picks its colour and marker; the same in every figure.
    """

    system: str
    label: str
    learns_from: str
    origin: str
    place: int


def name_systems(systems: Iterable[str]) -> dict[str, Name]:
    """Returns the names of these systems: first those in systems.csv, in its order, then the others, sorted."""
    with SYSTEMS.open(encoding="utf-8", newline="") as file:
        known = {row["system"]: row for row in csv.DictReader(file)}
    asked = set(systems)
    order = [*known, *sorted(asked - known.keys())]
    unknown = {"label": "", "learns_from": "", "origin": "beyond"}
    return {
        system: Name(system, row["label"] or system, row["learns_from"], row["origin"], place)
        for place, system in enumerate(order)
        if system in asked
        for row in [known.get(system, unknown)]
    }


def by_origin(names: Mapping[str, Name]) -> dict[str, dict[str, Name]]:
    """Groups systems into "paper" and "beyond"; an empty group is left out."""
    groups = {
        origin: {system: name for system, name in names.items() if name.origin == origin}
        for origin in ("paper", "beyond")
    }
    return {origin: group for origin, group in groups.items() if group}


def percent(proportion: float) -> str:
    """Formats a proportion as a column heading: 0.01 → "1%", 0.005 → "0.5%"."""
    return f"{100 * proportion:g}%"
