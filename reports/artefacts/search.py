"""How the settings were found: one search per system, scored on validation images alone."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.search import search_figure
from reports.inputs.search import STATES, Search
from reports.inputs.sources import Sources
from reports.names import Name, name_systems, percent
from reports.writing import listing
from reports.writing.embedding import figure_section
from reports.writing.listing import Listing
from reports.writing.templating import number, render


@register(place=57, learns=("labels",))
def search(sources: Sources) -> Artefact:
    """Makes figures/search.*, tables/search.* and their section; nothing without a search."""
    names = name_systems(sources.searches)
    if not names:
        return Artefact()
    searches = {system: sources.searches[system] for system in names}
    files = drawing.files(search_figure(searches, names), "search")
    table, tidy = _listing(searches, names)
    files |= listing.files(table, tidy, "search")
    caption = (
        "Left: importance of each parameter, the share of the score’s variance that goes with it. Right: validation "
        "accuracy, mean over the cells searched, trial by trial; a pruned trial’s score is that of the cells it got to."
    )
    html = render(
        "search.html",
        facts=[_facts(one, names[system]) for system, one in searches.items()],
        figure=figure_section(files["figures/search.svg"], "search", caption),
        table=listing.html(table),
    )
    return Artefact(files, "How the settings were found", html)


def _listing(searches: dict[str, Search], names: dict[str, Name]) -> tuple[Listing, pd.DataFrame]:
    rows: list[dict[str, Any]] = [
        {
            "system": system,
            "parameter": name,
            "space": space,
            "chosen": _value_text(one.chosen.get(name)),
            "importance": one.importances.get(name),
        }
        for system, one in searches.items()
        for name, space in one.space.items()
    ]
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        cells = [row["parameter"], row["space"], row["chosen"], number(row["importance"])]
        groups.setdefault(names[row["system"]].label, []).append(cells)
    head = ["Parameter", "Searched", "Chosen", "Importance"]
    return Listing("What was searched and chosen.", head, groups, words=2), pd.DataFrame(rows)


def _value_text(value: Any) -> str:
    """Formats the value of a setting; Any, since settings have values of every type."""
    return f"{value:.4g}" if isinstance(value, float) else "—" if value is None else str(value)


def _facts(one: Search, name: Name) -> dict[str, Any]:
    counts = {state: int((one.trials["state"] == state).sum()) for state in STATES}
    return {
        "label": name.label,
        "search": one,
        "budget": ", ".join(f"{key} {_value_text(value)}" for key, value in one.budget.items())
        if isinstance(one.budget, dict)
        else _value_text(one.budget),
        "trials": ", ".join(f"{count} {state}" for state, count in counts.items() if count),
        "proportions": ", ".join(map(percent, one.proportions)),
        "seconds": float(one.trials["seconds"].sum()),
    }
