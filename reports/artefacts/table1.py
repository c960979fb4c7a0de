"""Table 1: accuracy of every system at every labelled proportion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from reports.analysis.comparison import compare, marks
from reports.analysis.statistics import headline, summarise
from reports.artefacts.contract import Artefact, register
from reports.inputs.gallery import Sweep
from reports.inputs.sources import Sources
from reports.names import Name
from reports.result_kinds import ACCURACIES
from reports.writing import tables

MARKS = (
    "▲ / ▼: in top-1 above / below every system that learns from labelled images alone, by paired sign-flip tests "
    "after the max-T correction over all comparisons of single proportions, at the 5 % level."
)


@register(place=20, learns=("labels",))
def table1(sources: Sources) -> Artefact:
    """Makes tables/table1.{csv,md,tex,html} and the first table of the page."""
    rows = headline(sources.results)
    table, tidy = accuracy_table(rows, sources.names, marks(compare(rows, sources.names), sources.names))
    table = replace(table, note=" ".join([table.note, *narrowed(sources.sweep, sources.names)]))
    return Artefact(tables.files(table, tidy, "table1"), "Table 1", tables.html(table))


def narrowed(sweep: Sweep, names: Mapping[str, Name]) -> list[str]:
    """Returns sentences that say which networks are narrower, or wider, than they were published."""
    settings = sweep.params.get("settings")
    by_width: dict[float, list[str]] = {}
    for system, own in settings.items() if isinstance(settings, dict) else ():
        width = own.get("width", 1) if isinstance(own, dict) else 1
        if system in names and isinstance(width, int | float) and width != 1:
            by_width.setdefault(width, []).append(names[system].label)
    return [
        f"{', '.join(labels)}: {width:g} times the published number of channels." for width, labels in by_width.items()
    ]


def accuracy_table(
    results: pd.DataFrame, names: Mapping[str, Name], marks: Mapping[tuple[str, float], str]
) -> tuple[tables.Table, pd.DataFrame]:
    """Builds Table 1 of trials (`statistics.headline` of the results), and its tidy numbers.

    Args:
        marks: of the top-1 means, from `comparison.marks`.

    Returns:
        The table, in which a cell notes its n where that is not the usual one; and the columns metric, system,
        proportion, mean, std, n, asked, trial_ids.
    """
    tidy = summarise(results, list(ACCURACIES), ["system", "proportion"])
    usual = int(tidy["asked"].mode().max())
    blocks = tables.cells(tidy, ACCURACIES, usual)
    for place, mark in marks.items():
        blocks["top-1"][place] = replace(blocks["top-1"][place], mark=mark)
    table = tables.Table(
        caption=f"Classification accuracy (%) on the test images of {results['dataset'].iloc[0]} by the "
        "proportion of training images with labels.",
        note=f"{tables.note(usual)} {MARKS}",
        rows=tables.labels(results, names),
        proportions=tuple(sorted(tidy["proportion"].unique())),
        blocks=blocks,
        beyond=tables.beyond(names),
    )
    return table, tidy
