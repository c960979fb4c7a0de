"""The model of the images by itself: its lower bound, and how much information its switches carry about an image."""

from __future__ import annotations

from reports.analysis.statistics import headline, summarise
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing import tables

COLUMNS = {"elbo": "Bound (nats an image)", "kl_switches": "KL of the switches (nats an image)"}


@register(place=51)
def bound(sources: Sources) -> Artefact:
    """Makes tables/bound.* and their section; nothing without a system that has a bound."""
    rows = headline(sources.results)
    rows = rows[rows["system"].isin(rows.dropna(subset=["elbo"])["system"])]
    if rows.empty:
        return Artefact()
    names = {system: name for system, name in sources.names.items() if system in set(rows["system"])}
    tidy = summarise(rows, list(COLUMNS), ["system", "proportion"])
    usual = int(tidy["asked"].mode().max())
    table = tables.Table(
        caption=f"Lower bound of log p(X) on the test images of {sources.sweep.dataset}, and in it the divergence of "
        "the pooling switches' posterior from their prior: near zero, pooling is random.",
        note=tables.note(usual),
        rows=tables.labels(rows, names),
        proportions=tuple(sorted(tidy["proportion"].unique())),
        blocks=tables.cells(tidy, COLUMNS, usual),
        beyond=tables.beyond(names),
    )
    return Artefact(tables.files(table, tidy, "bound"), "The model of the images", tables.html(table))
