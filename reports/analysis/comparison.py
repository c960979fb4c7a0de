"""Paired comparisons of systems, repetition by repetition.

A baseline here is a system that learns from the labelled (or captioned) images alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

from reports.analysis.paired import LEVEL, detectable, max_t, sign_flip
from reports.analysis.statistics import mean_interval
from reports.names import Name

FEW = 0.2  # "few labels": labelled proportions up to this one, about which the paper's claim is made
REPETITIONS = (5, 10, 20)  # numbers of repetitions for which the detectable difference is given
POOLED, EACH = "pooled", "each"  # families of comparisons: mean over few labels, and single proportions


@dataclass(frozen=True)
class Paired:
    """Differences between two systems in top-1 (points) or another metric, one per repetition.

    Attributes:
        differences: of the complete repetitions.
        repetitions: their numbers, ascending.
        asked: the number of repetitions that were asked of both systems.
        trial_ids: all trials behind the differences.
    """

    differences: tuple[float, ...]
    repetitions: tuple[int, ...]
    asked: int
    trial_ids: tuple[str, ...]

    @property
    def n(self) -> int:
        """The number of complete repetitions."""
        return len(self.differences)

    @property
    def by_repetition(self) -> dict[int, float]:
        """The differences by the number of the repetition."""
        return dict(zip(self.repetitions, self.differences, strict=True))

    @property
    def mean(self) -> float:
        """The mean difference; missing without a repetition."""
        return fmean(self.differences) if self.differences else math.nan

    @property
    def std(self) -> float:
        """The sample standard deviation (ddof 1); missing with fewer than two repetitions."""
        return stdev(self.differences) if self.n > 1 else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the bootstrap interval of the mean (`statistics.mean_interval`)."""
        return mean_interval(self.differences)

    @property
    def wins(self) -> int:
        """The number of differences above 0."""
        return sum(difference > 0 for difference in self.differences)


def pair(ours: pd.DataFrame, theirs: pd.DataFrame, proportions: Iterable[float], metric: str = "top1") -> Paired:
    """Returns the differences ours − theirs, averaged over the proportions.

    Each side has the columns proportion, seed, status, trial_id and the metric. A repetition gives one difference, its
    mean over the proportions: within a repetition the labelled sets are nested, so that only the repetitions are
    independent. A repetition with a missing trial on either side gives none.
    """
    proportions = set(proportions)
    both = ours.merge(theirs, on=["proportion", "seed"], suffixes=("", "_of_baseline"))
    both = both[both["proportion"].isin(proportions)]
    done = both[(both["status"] == "done") & (both["status_of_baseline"] == "done")]
    whole = done[done.groupby("seed")["proportion"].transform("nunique") == len(proportions)]
    differences = (whole[metric] - whole[f"{metric}_of_baseline"]).groupby(whole["seed"]).mean()
    ids = dict.fromkeys([*whole["trial_id"], *whole["trial_id_of_baseline"]])
    return Paired(
        tuple(map(float, differences)), tuple(map(int, differences.index)), both["seed"].nunique(), tuple(ids)
    )


def pairs(names: Mapping[str, Name]) -> list[tuple[str, str]]:
    """Returns the pairs (system, baseline) that are compared about labels.

    They are each system that learns from all images with each baseline, and the paper's two label models, BSVM and
    softmax, with each other.
    """
    learners = [system for system, name in names.items() if name.learns_from == "all images"]
    baselines = [system for system, name in names.items() if name.learns_from == "labelled images"]
    with_baselines = [(system, baseline) for system in learners for baseline in baselines]
    return with_baselines + ([("bsvm", "softmax")] if {"bsvm", "softmax"} <= names.keys() else [])


def against_all(names: Mapping[str, Name]) -> list[tuple[str, str]]:
    """Returns the pairs (ours, other) that are compared about captions: each of `ours` with every other system."""
    mine = ours(names)
    return [(system, other) for system in mine for other in names if other not in mine]


def ours(names: Mapping[str, Name]) -> list[str]:
    """Returns the paper's systems that learn from all images."""
    return [system for system, name in names.items() if (name.learns_from, name.origin) == ("all images", "paper")]


def shared_proportions(rows: pd.DataFrame, *systems: str) -> list[float]:
    """Returns the proportions that were asked of all these systems, ascending."""
    asked = [set(rows.loc[rows["system"] == system, "proportion"]) for system in systems]
    return sorted(set.intersection(*asked)) if asked else []


def compare(
    headline: pd.DataFrame,
    names: Mapping[str, Name],
    metric: str = "top1",
    select_pairs: Callable[[Mapping[str, Name]], list[tuple[str, str]]] = pairs,
) -> pd.DataFrame:
    """Compares pairs of systems at each proportion and over all proportions with few labels.

    Args:
        headline: the trials, from `statistics.headline`.
        metric: the column that is compared.
        select_pairs: returns the pairs (system, baseline), `pairs` or `against_all`.

    Returns:
        One row per pair and proportion (family "each"), and one per pair for the mean over all proportions up to 20 %
        (family "pooled", proportion missing) where there are at least two. Columns: family, system, baseline,
        proportion, n, asked, mean, low, high, std, wins, p (two-sided sign flips), corrected (p after the max-T
        correction within its family), detectable (with n as run), detectable_N, trial_ids.
    """
    rows: list[dict[str, object]] = []
    found: list[Paired] = []
    for system, baseline in select_pairs(names):
        left, right = (headline[headline["system"] == side] for side in (system, baseline))
        shared = shared_proportions(headline, system, baseline)
        few = [proportion for proportion in shared if proportion <= FEW]
        scopes = [(POOLED, math.nan, few)] if len(few) > 1 else []
        scopes += [(EACH, proportion, [proportion]) for proportion in shared]
        for family, proportion, over in scopes:
            key = {"family": family, "system": system, "baseline": baseline, "proportion": proportion}
            found.append(pair(left, right, over, metric))
            rows.append(key | _numbers(found[-1]))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    for places in table.groupby("family").groups.values():
        table.loc[places, "corrected"] = max_t([found[place].by_repetition for place in places])
    return table


_COLUMNS = [
    *["family", "system", "baseline", "proportion", "n", "asked", "mean", "low", "high", "std", "wins", "p"],
    *["corrected", "detectable", *(f"detectable_{n}" for n in REPETITIONS), "trial_ids"],
]


def _numbers(paired: Paired) -> dict[str, object]:
    low, high = paired.interval
    return {
        "n": paired.n,
        "asked": paired.asked,
        "mean": paired.mean,
        "low": low,
        "high": high,
        "std": paired.std,
        "wins": paired.wins,
        "p": sign_flip(paired.differences),
        "corrected": math.nan,
        "detectable": detectable(paired.std, paired.n),
        **{f"detectable_{n}": detectable(paired.std, n) for n in REPETITIONS},
        "trial_ids": " ".join(paired.trial_ids),
    }


def marks(table: pd.DataFrame, names: Mapping[str, Name]) -> dict[tuple[str, float], str]:
    """Marks by (system, proportion): "▲" above every baseline, "▼" below every one, no entry otherwise.

    "Above" and "below" are significant at the 5 % level after the correction in the family "each" of `table`.
    """
    marked = {}
    against = table["baseline"].map(lambda baseline: names[baseline].learns_from == "labelled images").astype(bool)
    for key, rows in table[against & (table["family"] == EACH)].groupby(["system", "proportion"]):
        if (rows["corrected"] <= LEVEL).all() and rows["mean"].gt(0).nunique() == 1:
            marked[key] = "▲" if rows["mean"].iloc[0] > 0 else "▼"
    return marked
