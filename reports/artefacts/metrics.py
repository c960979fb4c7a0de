"""metrics.json and plots/: the numbers in the form that DVC shows and compares."""

from __future__ import annotations

import json
from typing import Any

from reports.analysis.statistics import count_statuses, headline, summarise
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.names import percent
from reports.writing.escaping import for_csv


@register(place=110)
def metrics(sources: Sources) -> Artefact:
    """Makes metrics.json and plots/accuracy.csv, or plots/captions.csv for results about captions.

    metrics.json is {system: {"1%": {top1, top5}}, trials: {done, failed, missing}}, with means in percent, or with the
    scores of captions. A missing mean has no key. The CSV file has one row per system and proportion, with an empty
    cell for a missing mean.
    """
    kind = sources.kind
    tidy = summarise(headline(sources.results), list(kind.scores), ["system", "proportion"])
    means = tidy.pivot(index=["system", "proportion"], columns="metric", values="mean")[list(kind.scores)]
    means = means.reindex(list(sources.names), level="system")
    numbers: dict[str, Any] = {system: {} for system in sources.names}
    for (system, proportion), row in means.iterrows():
        numbers[system][percent(proportion)] = {metric: round(mean, 4) for metric, mean in row.dropna().items()}
    numbers["trials"] = count_statuses(sources.results)
    flat = means.reset_index()
    flat.insert(0, f"{kind.annotated}_percent", 100 * flat.pop("proportion"))
    flat["system"] = flat["system"].map(lambda system: sources.names[system].label)
    return Artefact(
        files={
            "metrics.json": f"{json.dumps(numbers, indent=2, ensure_ascii=False)}\n".encode(),
            f"plots/{kind.plot}.csv": for_csv(flat),
        }
    )
