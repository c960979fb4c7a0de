"""What was compared and what came out, in plain words made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from reports.analysis.comparison import against_all, compare, pairs
from reports.analysis.statistics import count_statuses, headline, labelled_images, summarise
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.names import Name
from reports.writing.templating import render

PAIRS = {"labels": pairs, "captions": against_all}


@register(place=10)
def introduction(sources: Sources) -> Artefact:
    """Opens the page: question, systems, and the outcome with the fewest and with the most labels or captions."""
    kind = sources.kind
    rows = headline(sources.results)
    tidy = summarise(rows, [kind.first], ["system", "proportion"])
    proportions = sorted(tidy["proportion"].unique())
    labelled = labelled_images(sources.results)
    html = render(
        f"introduction-{kind.learns}.html",
        sweep=sources.sweep,
        names=list(sources.names.values()),
        groups=_groups(list(sources.names.values())),
        proportions=proportions,
        fewest=labelled.get(proportions[0]),
        most=labelled.get(proportions[-1]),
        repetitions=int(tidy["asked"].max()),
        beyond=[name.label for name in sources.names.values() if name.origin == "beyond"],
        compared=not compare(rows, sources.names, kind.first, PAIRS[kind.learns]).empty,
        counts=count_statuses(sources.results),
        outcomes=[_outcome(tidy, sources, p) for p in dict.fromkeys([proportions[0], proportions[-1]])],
    )
    return Artefact(title="What was compared", html=html)


def _groups(names: Sequence[Name]) -> dict[str, list[str]]:
    """Labels of the systems by what they learn from, where that is known."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if name.learns_from:
            groups.setdefault(name.learns_from, []).append(name.label)
    return groups


def _outcome(tidy: pd.DataFrame, sources: Sources, proportion: float) -> dict[str, Any]:
    """At one proportion: systems with a result, best first, and how far the best that learns from all images
    is above the best that learns from labelled or captioned images alone (None without one of either)."""
    here = tidy[(tidy["proportion"] == proportion) & (tidy["n"] > 0)].sort_values("mean", ascending=False)
    ranked = [
        {"name": sources.names[row.system], "mean": row.mean, "std": row.std, "n": row.n}
        for row in here.itertuples(index=False)
    ]
    best = {entry["name"].learns_from: entry for entry in reversed(ranked)}
    pair = (best.get("all images"), best.get("labelled images"))
    gap = pair[0]["mean"] - pair[1]["mean"] if all(pair) else None
    return {"proportion": proportion, "ranked": ranked, "pair": pair, "gap": gap}
