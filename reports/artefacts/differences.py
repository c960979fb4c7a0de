"""Paired differences: could the lead of a system that learns from all images be chance?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from reports.analysis.comparison import EACH, POOLED, REPETITIONS, compare
from reports.analysis.paired import LEVEL, repetitions_needed, smallest_p
from reports.analysis.statistics import INTERVAL, coverage_limit, headline
from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.differences import difference_figure
from reports.inputs.sources import Sources
from reports.names import Name, percent
from reports.writing import listing
from reports.writing.embedding import figure_section
from reports.writing.listing import Listing
from reports.writing.templating import number, render

HEAD = ["System", "Baseline", "Labels", "n", "Difference", "95 % interval", "p", "Corrected p"]
DETECTABLE_HEAD = ["System", "Baseline", "Labels", "sd", "as run", *(f"n = {n}" for n in REPETITIONS)]
GROUPS = {"paper": "The paper’s systems", "beyond": "Beyond the paper"}


@register(place=35, learns=("labels",))
def differences(sources: Sources) -> Artefact:
    """Makes figures/differences.*, the tables and their section; nothing without a pair of systems to compare.

    The tables are tables/differences.* (single proportions), tables/differences-pooled.* (means over few labels) and
    tables/detectable.* (detectable differences).
    """
    table = compare(headline(sources.results), sources.names)
    if table.empty:
        return Artefact()
    dataset = sources.sweep.dataset
    pooled, each = (table[table["family"] == family] for family in (POOLED, EACH))
    listings = {
        "differences-pooled": _listing(
            pooled, sources, f"Differences in top-1 (points) on {dataset}, mean over all proportions up to 20 %."
        ),
        "differences": _listing(each, sources, f"Differences in top-1 (points) on {dataset} at each proportion."),
        "detectable": _detectable(table, sources),
    }
    parts = {"differences-pooled": pooled, "differences": each, "detectable": table}
    files = drawing.files(difference_figure(table, sources.names), "differences")
    for stem, part in parts.items():
        files |= listing.files(listings[stem], part, stem)
    caption = (
        "Paired differences in top-1 accuracy: system − baseline with the same labelled images, in points, against the "
        f"labelled proportion (logarithmic). Bars: {INTERVAL}; above the line the system is better."
    )
    html = render(
        "differences.html",
        figure=figure_section(files["figures/differences.svg"], "differences", caption),
        tables={stem: listing.html(listings[stem]) for stem in parts if len(parts[stem])},
        families={name: family_facts(part) for name, part in (("pooled", pooled), ("each", each)) if part["n"].any()},
        most=int(table["n"].max()),
        coverage=coverage_limit(int(table["n"].max())),
    )
    return Artefact(files, "Paired differences", html)


def family_facts(part: pd.DataFrame) -> dict[str, Any]:
    """Returns what a family of comparisons can show at all.

    Keys: size, n (the most repetitions), floor (the smallest possible p, corrected or not), needed (repetitions for a
    significant difference) and significant (the number of significant differences).
    """
    size, n = int(part["p"].notna().sum()), int(part["n"].max())
    return {
        "size": size,
        "n": n,
        "floor": smallest_p(n),
        "needed": repetitions_needed(),
        "significant": int((part["corrected"] <= LEVEL).sum()),
    }


def _listing(part: pd.DataFrame, sources: Sources, caption: str) -> Listing:
    groups = _groups(part, sources.names, lambda row: [*row_heading(row, sources.names), *_cells(row)])
    note = "p: two-sided sign flips; corrected p: max-T over all rows of this table; a/b: a of b repetitions."
    return Listing(caption, HEAD, groups, note, words=3)


def _detectable(table: pd.DataFrame, sources: Sources) -> Listing:
    def cells(row: dict[str, Any]) -> list[str]:
        sizes = [row["detectable"], *(row[f"detectable_{n}"] for n in REPETITIONS)]
        return [*row_heading(row, sources.names), number(row["std"]), *map(number, sizes)]

    return Listing(
        "The smallest mean difference (points) that a paired t test finds with 80 % power at the 5 % level, given the "
        "standard deviation (sd) of the differences seen here.",
        DETECTABLE_HEAD,
        _groups(table, sources.names, cells),
        "One test by itself, two-sided, without correction. The sd of few repetitions is itself uncertain.",
        words=3,
    )


def _groups(
    part: pd.DataFrame, names: Mapping[str, Name], cells: Callable[[dict[str, Any]], list[str]]
) -> dict[str, list[list[str]]]:
    """Groups the rows by the origin of their system; a single group has no heading."""
    groups: dict[str, list[list[str]]] = {}
    for row in part.to_dict("records"):
        groups.setdefault(GROUPS[names[row["system"]].origin], []).append(cells(row))
    return groups if len(groups) > 1 else {"": next(iter(groups.values()), [])}


def row_heading(row: dict[str, Any], names: Mapping[str, Name]) -> list[str]:
    """Returns the first three cells of a comparison: the system, the other one, and the labelled proportion."""
    labels = "≤ 20%, mean" if math.isnan(row["proportion"]) else percent(row["proportion"])
    return [names[row["system"]].label, names[row["baseline"]].label, labels]


def _cells(row: dict[str, Any]) -> list[str]:
    n = str(row["n"]) if row["n"] == row["asked"] else f"{row['n']}/{row['asked']}"
    interval = "—" if math.isnan(row["low"]) else f"{signed(row['low'])} to {signed(row['high'])}"
    return [n, signed(row["mean"]), interval, number(row["p"], 4), number(row["corrected"], 4)]


def signed(value: float, digits: int = 2) -> str:
    """Formats a difference with its sign, or as "—" where it is missing."""
    return "—" if math.isnan(value) else f"{value:+.{digits}f}".replace("-", "−")
