"""The introduction: what was compared and what came out, in sentences built from the numbers."""

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
    """Makes the first section: the question, the systems, and the outcome with the fewest and the most labels."""
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
    """Groups the labels of the systems by what they learn from, where that is known."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if name.learns_from:
            groups.setdefault(name.learns_from, []).append(name.label)
    return groups


def _outcome(tidy: pd.DataFrame, sources: Sources, proportion: float) -> dict[str, Any]:
    """Ranks the systems at one proportion.

    Returns:
        `ranked`: the systems with a result, best first. `pair`: the best one that learns from all images and the best
        one that learns from labelled (or captioned) images alone. `gap`: how far the first of the pair is above the
        second; None without one of them.
    """
    rows = tidy[(tidy["proportion"] == proportion) & (tidy["n"] > 0)].sort_values("mean", ascending=False)
    ranked = [
        {"name": sources.names[row.system], "mean": row.mean, "std": row.std, "n": row.n}
        for row in rows.itertuples(index=False)
    ]
    best = {entry["name"].learns_from: entry for entry in reversed(ranked)}
    ours, baseline = best.get("all images"), best.get("labelled images")
    gap = ours["mean"] - baseline["mean"] if ours and baseline else None
    return {"proportion": proportion, "ranked": ranked, "pair": (ours, baseline), "gap": gap}
