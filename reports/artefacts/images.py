"""The test images as a sample: McNemar's test of trained models, and differences over repetitions and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis.comparison import pairs, shared_proportions
from reports.analysis.mcnemar import discordant, fewest_images, mcnemar
from reports.analysis.paired import LEVEL
from reports.analysis.statistics import headline
from reports.analysis.two_way import two_way
from reports.artefacts.contract import Artefact, register
from reports.artefacts.differences import row_heading, signed
from reports.inputs.predictions import Predictions
from reports.inputs.sources import Sources
from reports.names import Name
from reports.writing import listing
from reports.writing.escaping import for_csv
from reports.writing.listing import Listing
from reports.writing.templating import number, render

HEAD = [
    *["System", "Baseline", "Labels", "n", "Only system right", "Only baseline right", "p ≤ 0.05"],
    *["Difference", "s.e. (repetitions)", "s.e. (images)", "95 % interval", "p"],
]
LARGE_GAP = 5  # points; differences of systems are mostly smaller
KEY = ["system", "baseline", "proportion"]


@register(place=36, learns=("labels",))
def images(sources: Sources) -> Artefact:
    """Makes tables/two-way.*, tables/mcnemar.csv and their section; nothing without predictions of two systems."""
    each, over = compare_on_images(headline(sources.results), sources.names, sources.predictions)
    if over.empty:
        return Artefact()
    tested, needed = sources.predictions.images, fewest_images()
    table = Listing(
        f"Differences in top-1 (points) on the {tested:,} test images of {sources.sweep.dataset}, image by image.",
        HEAD,
        {"": [_cells(row, sources.names) for row in over.to_dict("records")]},
        "Only system right, only baseline right: test images, mean over the n repetitions; p ≤ 0.05: in how many of "
        "them McNemar’s exact test finds the system (+) or the baseline (−) better. s.e.: the parts of the standard "
        "error. The interval and the last p are those of a two-way analysis of variance, uncorrected; with two or "
        "three repetitions the interval is rather too short.",
        words=3,
        dense=True,
    )
    html = render(
        "images.html",
        table=listing.html(table),
        images=tested,
        needed=needed,
        smallest=100 * needed / tested,
        large=LARGE_GAP,
    )
    files = listing.files(table, over, "two-way") | {"tables/mcnemar.csv": for_csv(each)}
    return Artefact(files, "The test images", html)


def compare_on_images(
    rows: pd.DataFrame, names: Mapping[str, Name], predictions: Predictions
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compares pairs of systems image by image, at each proportion where both have predictions of a repetition.

    Args:
        rows: the trials, from `statistics.headline`.
        names: the systems.
        predictions: those of the test images.

    Returns:
        A row per pair, proportion and repetition (seed, only_system, only_baseline, p of McNemar's test, trial_ids),
        and one per pair and proportion (n, means of the former two, system_better and baseline_better: in how many
        repetitions at p ≤ 0.05; mean, by_repetitions, by_images, low, high, p of `two_way`, in points; trial_ids).
    """
    known = rows[rows["trial_id"].isin(list(predictions.guesses))]
    each: list[dict[str, object]] = []
    over: list[dict[str, object]] = []
    for system, baseline in pairs(names):
        for proportion in shared_proportions(known, system, baseline):
            sides = [
                known[(known["system"] == one) & (known["proportion"] == proportion)] for one in (system, baseline)
            ]
            both = sides[0].merge(sides[1], on="seed", suffixes=("", "_of_baseline"))
            ids = list(zip(both["trial_id"], both["trial_id_of_baseline"], strict=True))
            if not ids:
                continue
            key = dict(zip(KEY, (system, baseline, proportion), strict=True))
            said = predictions.guesses
            found = [
                key | {"seed": seed} | _mcnemar(said[ours], said[theirs], predictions.labels)
                for seed, (ours, theirs) in zip(both["seed"], ids, strict=True)
            ]
            each += [row | {"trial_ids": " ".join(pair)} for row, pair in zip(found, ids, strict=True)]
            over.append(key | _over_repetitions(found, ids, predictions))
    return pd.DataFrame(each), pd.DataFrame(over)


def _mcnemar(ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    only_ours, only_theirs = discordant(ours, theirs, labels)
    return {"only_system": only_ours, "only_baseline": only_theirs, "p": mcnemar(only_ours, only_theirs)}


def _over_repetitions(
    found: Sequence[Mapping[str, Any]], ids: Sequence[tuple[str, str]], predictions: Predictions
) -> dict[str, object]:
    told = [row for row in found if row["p"] <= LEVEL]
    right = {name: predictions.guesses[name] == predictions.labels for pair in ids for name in pair}
    differences = 100.0 * np.array([right[ours].astype(float) - right[theirs] for ours, theirs in ids])
    return {
        "n": len(found),
        "only_system": float(np.mean([row["only_system"] for row in found])),
        "only_baseline": float(np.mean([row["only_baseline"] for row in found])),
        "system_better": sum(row["only_system"] > row["only_baseline"] for row in told),
        "baseline_better": sum(row["only_system"] < row["only_baseline"] for row in told),
        **vars(two_way(differences)),
        "trial_ids": " ".join(dict.fromkeys(name for pair in ids for name in pair)),
    }


def _cells(row: dict[str, Any], names: Mapping[str, Name]) -> list[str]:
    interval = "—" if np.isnan(row["low"]) else f"{signed(row['low'])} to {signed(row['high'])}"
    return [
        *row_heading(row, names),
        str(row["n"]),
        number(row["only_system"], 1),
        number(row["only_baseline"], 1),
        f"{row['system_better']} +, {row['baseline_better']} −",
        signed(row["mean"]),
        number(row["by_repetitions"]),
        number(row["by_images"]),
        interval,
        "< 0.0001" if row["p"] < 0.0001 else number(row["p"], 4),
    ]
