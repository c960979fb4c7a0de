"""Table 1: accuracy of every system at every labelled proportion."""

from __future__ import annotations

from reports.analysis.comparison import compare, marks
from reports.analysis.statistics import headline
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing import tables


@register(place=20, learns=("labels",))
def table1(sources: Sources) -> Artefact:
    """Makes tables/table1.{csv,md,tex,html} and the first table of the page."""
    rows = headline(sources.results)
    table, tidy = tables.table1(rows, sources.names, marks(compare(rows, sources.names), sources.names))
    return Artefact(tables.files(table, tidy, "table1"), "Table 1", tables.html(table))
