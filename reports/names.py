"""How systems are called and ordered: reports/paper/systems.csv, then whatever else the results hold."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SYSTEMS = Path(__file__).parent / "paper" / "systems.csv"


@dataclass(frozen=True)
class Name:
    """One system as a reader sees it. `place` is its rank (and picks its colour), the same in every figure;
    `learns_from` is "all images", "labelled images", or "" where systems.csv does not know the system."""

    system: str
    label: str
    learns_from: str
    place: int


def name_systems(systems: Iterable[str]) -> dict[str, Name]:
    """The given systems: in the order of systems.csv, then, by their own names, those it does not know."""
    with SYSTEMS.open(encoding="utf-8", newline="") as file:
        known = {row["system"]: row for row in csv.DictReader(file)}
    asked = set(systems)
    order = [*known, *sorted(asked - known.keys())]
    unknown = {"label": "", "learns_from": ""}
    return {
        system: Name(system, row["label"] or system, row["learns_from"], place)
        for place, system in enumerate(order)
        if system in asked
        for row in [known.get(system, unknown)]
    }


def percent(proportion: float) -> str:
    """A proportion as a column heading: 0.01 → "1%", 0.005 → "0.5%"."""
    return f"{100 * proportion:g}%"
