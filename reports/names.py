"""How systems are called and ordered: reports/paper/systems.csv, then whatever else the results hold."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEMS = Path(__file__).parent / "paper" / "systems.csv"


@dataclass(frozen=True)
class Name:
    """One system as a reader sees it. `place` is its rank (and picks its colour), the same in every figure;
    `learns_from` is "all images", "labelled images", or "" where systems.csv does not know the system; `origin` is
    "paper" for the systems of the paper's Table 1 and "beyond" for every other."""

    system: str
    label: str
    learns_from: str
    origin: str
    place: int


def name_systems(systems: Iterable[str]) -> dict[str, Name]:
    """The given systems: in the order of systems.csv, then, by their own names, those it does not know."""
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
    """The paper's systems and those beyond it, where there are any of either."""
    groups = {
        origin: {system: name for system, name in names.items() if name.origin == origin}
        for origin in ("paper", "beyond")
    }
    return {origin: group for origin, group in groups.items() if group}


def percent(proportion: float) -> str:
    """A proportion as a column heading: 0.01 → "1%", 0.005 → "0.5%"."""
    return f"{100 * proportion:g}%"
